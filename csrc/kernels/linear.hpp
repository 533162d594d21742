// Linear layer over rows: y = x W^T + b;  dx = dy W,  dW = dy^T x,  db = column sums of dy. Weights are
// packed on every call: that is one pass over them, beside one multiplication per row.
#pragma once

#include "api/linear.hpp"
#include "kernels/column_sums.hpp"
#include "kernels/weight_gradient.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
class LinearPass {
  struct Buffers {
    T *packed, *start, *products;
  };

  static Buffers lay_out(index_t columns, index_t depth, int threads, Arena<T>& arena) {
    T* packed = arena.take(dense_size<T>(columns, depth));
    T* start = arena.take(round_up(columns, kDenseWidth<T>));
    return {packed, start, arena.take(threads * weight_gradient_workspace<T>())};
  }

  static void fill_start(const T* bias, index_t columns, T* start) {
    copy_padded(start, round_up(columns, kDenseWidth<T>), bias, columns);
  }

 public:
  static index_t forward_workspace(index_t, index_t inputs, index_t outputs) {
    Arena<T> arena;
    lay_out(outputs, inputs, 0, arena);
    return arena.used();
  }

  static index_t backward_workspace(index_t, index_t inputs, index_t outputs, int threads) {
    Arena<T> arena;
    lay_out(inputs, outputs, threads, arena);
    return arena.used();
  }

  static void forward(const api::LinearForward<T>& arguments) {
    const index_t inputs = arguments.inputs, outputs = arguments.outputs;
    Arena<T> arena(arguments.workspace);
    const Buffers buffers = lay_out(outputs, inputs, 0, arena);
    pack_by_rows(arguments.threads, arguments.weight, outputs, 1, 1, inputs, kDenseWidth<T>, buffers.packed);
    fill_start(arguments.bias, outputs, buffers.start);
    row_product<T>(arguments.threads, arguments.rows, outputs, {1, {{0, inputs}}}, {arguments.x, inputs},
                   buffers.packed, buffers.start, {arguments.y, outputs});
  }

  static void backward(const api::LinearBackward<T>& arguments) {
    const FlushDenormals flush;
    const index_t inputs = arguments.inputs, outputs = arguments.outputs;
    Arena<T> arena(arguments.workspace);
    const Buffers buffers = lay_out(inputs, outputs, arguments.threads, arena);
    pack_by_columns<kDenseWidth<T>>(arguments.threads, arguments.weight, inputs, outputs, buffers.packed);
    fill_start(nullptr, inputs, buffers.start);
    const Rows<const T> dy{arguments.dy, outputs};
    row_product<T>(arguments.threads, arguments.rows, inputs, {1, {{0, outputs}}}, dy, buffers.packed,
                   buffers.start, {arguments.dx, inputs});
    weight_gradient<T>(arguments.threads, outputs, inputs, arguments.rows, dy, {arguments.x, inputs},
                       arguments.dweight, buffers.products, kFresh);
    if (arguments.dbias != nullptr)
      column_sums<T>(arguments.threads, outputs, arguments.rows, dy, arguments.dbias, kFresh);
  }
};

}  // namespace rnnfast::RNNFAST_ISA
