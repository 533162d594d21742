// Convolution over time, direct on [N, T, C] as it lies: see api/conv1d.hpp.
//
// Every output row is one gathered product whose operands are the rows of its taps, k ascending, inputs
// ascending within. Taps outside of the input read a row of zeros, so that every sum has the same links
// whether a sequence comes whole or in blocks. Where dilation and layout put the taps of a row side by side
// they are one operand: the same links, fewer pointers. Not here: gradients (conv1d_backward.hpp).
#pragma once

#include "base/denormals.hpp"
#include "base/parallel.hpp"
#include "kernels/gathered_product.hpp"
#include "kernels/layer_activation.hpp"
#include "kernels/product.hpp"
#include "kernels/time_rows.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
class Conv1dForwardPass {
  using V = Vec<T>;
  using Product = ColumnProduct<T>;

  struct Buffers {
    T* zeros;
    const T** rows;  // [K, kRowBlock] of every thread
    Operand<T>* operands;
  };
  static Buffers lay_out(const api::Conv1dDims& dims, int threads, Arena<T>& arena) {
    T* zeros = arena.take(dims.inputs);
    const T** rows = arena.template take_as<const T*>(threads * dims.kernel * kRowBlock);
    return {zeros, rows, arena.template take_as<Operand<T>>(threads * dims.kernel)};
  }

 public:
  // Sums start from the bias, which lies before the panels.
  static index_t packed_size(index_t inputs, index_t outputs, index_t kernel) {
    return Product::size(outputs, 1 + kernel * inputs);
  }

  static void pack(const api::Conv1dWeights<T>& weights) {
    const index_t inputs = weights.inputs, outputs = weights.outputs, kernel = weights.kernel;
    const index_t columns = Product::padded(outputs);
    copy_padded(weights.packed, columns, weights.bias, outputs);
    Product::pack(outputs, kernel * inputs, weights.packed + columns, [&](index_t o, index_t k) {
      return weights.weight[(o * inputs + k % inputs) * kernel + k / inputs];
    });
  }

  static index_t workspace(const api::Conv1dDims& dims, int threads) {
    Arena<T> arena;
    lay_out(dims, threads, arena);
    return arena.used();
  }

  static void run(const api::Conv1dForward<T>& arguments) {
    const api::Conv1dDims& dims = arguments.dims;
    const index_t rows = dims.batch * dims.steps_out;
    Arena<T> arena(arguments.workspace);
    const Buffers buffers = lay_out(dims, arguments.threads, arena);
    for (index_t c = 0; c < dims.inputs; ++c) buffers.zeros[c] = T(0);
    const TimeRows<T> input{arguments.x,
                            dims.steps_in,
                            dims.inputs,
                            buffers.zeros,
                            arguments.history.ring,
                            arguments.history.capacity,
                            arguments.history.position};
    const double operations =
        2.0 * static_cast<double>(dims.outputs) * static_cast<double>(dims.kernel * dims.inputs);
    for_each_block(arguments.threads, rows, operations, Product::kRows,
                   [&](index_t first, index_t count, int part) {
                     block(arguments, input, first, count, buffers.rows + part * dims.kernel * kRowBlock,
                           buffers.operands + part * dims.kernel);
                   });
    if (arguments.history.ring != nullptr && dims.inputs > 0)
      remember(arguments.x, dims.batch, dims.steps_in, dims.inputs, arguments.history);
  }

 private:
  static void block(const api::Conv1dForward<T>& arguments, const TimeRows<T>& input, index_t first,
                    index_t count, const T** table, Operand<T>* operands) {
    const api::Conv1dDims& dims = arguments.dims;
    const index_t depth = dims.kernel * dims.inputs, span = (dims.kernel - 1) * dims.dilation;
    bool side_by_side = dims.dilation * arguments.x.time_stride == dims.inputs;
    T* outputs[kRowBlock];
    RowWalk walk(first, dims.steps_out);
    for (index_t r = 0; r < count; ++r, walk.next()) {
      outputs[r] = arguments.y.at(walk.n, walk.t);
      const index_t start = dims.stride * walk.t + dims.first;
      side_by_side = side_by_side && start >= 0 && start + span < dims.steps_in;
      for (index_t k = 0; k < dims.kernel; ++k)
        table[k * kRowBlock + r] = input.at(walk.n, start + k * dims.dilation);
    }
    index_t operand_count = dims.kernel;
    if (side_by_side) {
      operand_count = 1;
      operands[0] = {table, depth, 0};
    } else {
      for (index_t k = 0; k < dims.kernel; ++k)
        operands[k] = {table + k * kRowBlock, dims.inputs, k * dims.inputs};
    }
    const T* const bias = arguments.packed;
    Product::run(
        count, operands, operand_count, bias + Product::padded(dims.outputs), depth, dims.outputs,
        [&](index_t, index_t column) { return V::load(bias + column); },
        [&](index_t row, index_t column, V sum) {
          store_up_to(activate(dims.activation, sum), outputs[row] + column, dims.outputs - column);
        });
  }
};

}  // namespace rnnfast::RNNFAST_ISA
