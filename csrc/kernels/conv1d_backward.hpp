// Gradients of a convolution over time, with v = dy act'(y):
//   dx[n, t, c] = sum over k and o of W[o, c, k] v[n, j, o],  j = (t - first - k d) / s where that is a step
//   dW[o, c, k] = sum over n and j of v[n, j, o] x[n, s j + k d + first, c],   db[o] = sum of v[n, j, o]
// dx is gathered, not scattered: a row of x takes from the taps that read it, and with a stride rows of the
// same residue take from the same taps. dW is one product over all rows, its columns all taps side by side.
#pragma once

#include "kernels/column_sums.hpp"
#include "kernels/conv1d.hpp"
#include "kernels/weight_gradient.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
class Conv1dBackwardPass {
  using V = Vec<T>;
  using Product = ColumnProduct<T>;
  using Part = typename GatheredRows<T>::Part;

  // Rows whose places are listed at once: the table stays small, however long the sequences are.
  static constexpr index_t kTableRows = 1024;

  struct Buffers {
    T* zeros;              // a row of either side
    T* gradient;           // [N * steps_out, O]: v, with an activation
    const T** table;       // [kernel + 1, kTableRows]: rows of every tap, then those of v
    Part* parts;           // [kernel]
    Operand<T>* operands;  // [kernel] of every thread
    const T** rows;        // [kernel, kRowBlock] of every thread
    T* taps;               // [O, kernel * C]: dW with taps outermost
    T* products;
  };
  static Buffers lay_out(const api::Conv1dDims& dims, int threads, Arena<T>& arena) {
    const index_t rows = dims.batch * dims.steps_out;
    Buffers b{};
    b.zeros = arena.take(dims.inputs > dims.outputs ? dims.inputs : dims.outputs);
    b.gradient = arena.take(dims.activation == api::Activation::kNone ? 0 : rows * dims.outputs);
    b.table = arena.template take_as<const T*>((dims.kernel + 1) * kTableRows);
    b.parts = arena.template take_as<Part>(dims.kernel);
    b.operands = arena.template take_as<Operand<T>>(threads * dims.kernel);
    b.rows = arena.template take_as<const T*>(threads * dims.kernel * kRowBlock);
    b.taps = arena.take(dims.outputs * dims.kernel * dims.inputs);
    b.products = arena.take(threads * weight_gradient_workspace<T>());
    return b;
  }

 public:
  static index_t packed_size(index_t inputs, index_t outputs, index_t kernel) {
    return Product::size(inputs, kernel * outputs);
  }

  static void pack(const api::Conv1dWeights<T>& weights) {
    const index_t inputs = weights.inputs, outputs = weights.outputs, kernel = weights.kernel;
    Product::pack(inputs, kernel * outputs, weights.packed, [&](index_t c, index_t k) {
      return weights.weight[(k % outputs * inputs + c) * kernel + k / outputs];
    });
  }

  static index_t workspace(const api::Conv1dDims& dims, int threads) {
    Arena<T> arena;
    lay_out(dims, threads, arena);
    return arena.used();
  }

  static void run(const api::Conv1dBackward<T>& arguments) {
    const FlushDenormals flush;
    const api::Conv1dDims& dims = arguments.dims;
    Arena<T> arena(arguments.workspace);
    const Buffers buffers = lay_out(dims, arguments.threads, arena);
    const index_t widest = dims.inputs > dims.outputs ? dims.inputs : dims.outputs;
    for (index_t c = 0; c < widest; ++c) buffers.zeros[c] = T(0);
    api::Sequence<const T> gradient = arguments.dy;
    if (dims.activation != api::Activation::kNone) {
      through_activation(arguments, buffers.gradient);
      gradient = {buffers.gradient, dims.steps_out * dims.outputs, dims.outputs};
    }
    if (arguments.dx.data != nullptr) {
      for (index_t residue = 0; residue < dims.stride && residue < dims.steps_in; ++residue)
        input_gradient(arguments, gradient, residue, buffers);
    }
    weight_gradients(arguments, gradient, buffers);
  }

 private:
  static void through_activation(const api::Conv1dBackward<T>& arguments, T* gradient) {
    const api::Conv1dDims& dims = arguments.dims;
    const index_t rows = dims.batch * dims.steps_out;
    const double operations = 10.0 * static_cast<double>(rows) * static_cast<double>(dims.outputs);
    const int parts = parallel::worthwhile_parts(arguments.threads, operations, rows);
    parallel::for_each_part(parts, [&](int part) {
      const FlushDenormals flush;
      const parallel::Range own = parallel::share(rows, parts, part, 1);
      RowWalk walk(own.begin, dims.steps_out);
      for (index_t row = own.begin; row < own.end; ++row, walk.next()) {
        const T *y = arguments.y.at(walk.n, walk.t), *dy = arguments.dy.at(walk.n, walk.t);
        T* const to = gradient + row * dims.outputs;
        for (index_t o = 0; o < dims.outputs; o += V::kLanes) {
          const index_t left = dims.outputs - o;
          store_up_to(activation_gradient(dims.activation, load_up_to(y + o, left), load_up_to(dy + o, left)),
                      to + o, left);
        }
      }
    });
  }

  // dx at the steps t = residue, residue + s, …
  static void input_gradient(const api::Conv1dBackward<T>& arguments, const api::Sequence<const T>& gradient,
                             index_t residue, const Buffers& buffers) {
    const api::Conv1dDims& dims = arguments.dims;
    const index_t steps = ceil_div(dims.steps_in - residue, dims.stride), rows = dims.batch * steps;
    const TimeRows<T> source{gradient, dims.steps_out, dims.outputs, buffers.zeros, nullptr, 0, 0};
    const double operations = 2.0 * static_cast<double>(dims.inputs) *
                              static_cast<double>(dims.kernel * dims.outputs) /
                              static_cast<double>(dims.stride);
    for_each_block(arguments.threads, rows, operations, Product::kRows,
                   [&](index_t first, index_t count, int part) {
                     const T** const table = buffers.rows + part * dims.kernel * kRowBlock;
                     Operand<T>* const operands = buffers.operands + part * dims.kernel;
                     T* outputs[kRowBlock];
                     RowWalk walk(first, steps);
                     for (index_t r = 0; r < count; ++r, walk.next())
                       outputs[r] = arguments.dx.at(walk.n, residue + walk.t * dims.stride);
                     index_t taps = 0;
                     for (index_t k = 0; k < dims.kernel; ++k) {
                       const index_t distance = residue - dims.first - k * dims.dilation;
                       if (distance % dims.stride != 0) continue;
                       // Of the residue's step t the output is t + distance / s: one division for all rows.
                       const index_t ahead = distance / dims.stride;
                       RowWalk row(first, steps);
                       for (index_t r = 0; r < count; ++r, row.next())
                         table[k * kRowBlock + r] = source.at(row.n, row.t + ahead);
                       operands[taps++] = {table + k * kRowBlock, dims.outputs, k * dims.outputs};
                     }
                     Product::run(
                         count, operands, taps, arguments.packed, dims.kernel * dims.outputs, dims.inputs,
                         [](index_t, index_t) { return V::zero(); },
                         [&](index_t row, index_t column, V sum) {
                           store_up_to(sum, outputs[row] + column, dims.inputs - column);
                         });
                   });
  }

  static void weight_gradients(const api::Conv1dBackward<T>& arguments,
                               const api::Sequence<const T>& gradient, const Buffers& buffers) {
    const api::Conv1dDims& dims = arguments.dims;
    const index_t rows = dims.batch * dims.steps_out, columns = dims.kernel * dims.inputs;
    const TimeRows<T> input{arguments.x, dims.steps_in, dims.inputs, buffers.zeros, nullptr, 0, 0};
    const T** const own = buffers.table + dims.kernel * kTableRows;
    for (index_t k = 0; k < dims.kernel; ++k)
      buffers.parts[k] = {buffers.table + k * kTableRows, dims.inputs};
    const Rows<const T> a{nullptr, 0, own};
    RowWalk walk(0, dims.steps_out);
    index_t first = 0;
    do {  // once even for no rows: the gradients are zeros then
      const index_t count = rows - first < kTableRows ? rows - first : kTableRows;
      for (index_t row = 0; row < count; ++row, walk.next()) {
        own[row] = gradient.at(walk.n, walk.t);
        for (index_t k = 0; k < dims.kernel; ++k)
          buffers.table[k * kTableRows + row] =
              input.at(walk.n, dims.stride * walk.t + dims.first + k * dims.dilation);
      }
      const Sums sums = first == 0 ? Sums::kFresh : Sums::kContinued;
      if (columns > 0 && dims.outputs > 0)
        weight_gradient<T>(arguments.threads, dims.outputs, columns, count, a, GatheredRows<T>{buffers.parts},
                           buffers.taps, buffers.products, sums);
      if (arguments.dbias != nullptr)
        column_sums<T>(arguments.threads, dims.outputs, count, a, arguments.dbias, sums);
      first += kTableRows;
    } while (first < rows);
    for (index_t o = 0; o < dims.outputs; ++o) {
      for (index_t k = 0; k < dims.kernel; ++k) {
        for (index_t c = 0; c < dims.inputs; ++c) {
          arguments.dweight[(o * dims.inputs + c) * dims.kernel + k] =
              buffers.taps[o * columns + k * dims.inputs + c];
        }
      }
    }
  }
};

}  // namespace rnnfast::RNNFAST_ISA
