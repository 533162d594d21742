// Linear layer over rows: y = x W^T + b;  dx = dy W,  dW = dy^T x,  db = column sums of dy. Weights are packed on every call:
// that is one pass over them, beside one multiplication per row.
#pragma once

#include "api/linear.hpp"
#include "kernels/dense.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
struct LinearPass {
  static index_t forward_workspace(index_t, index_t inputs, index_t outputs) {
    return panels_size<T, kDenseVectors>(outputs, 1, inputs);
  }

  static index_t backward_workspace(index_t, index_t inputs, index_t outputs, int threads) {
    return panels_size<T, kDenseVectors>(inputs, 1, outputs) + threads * OuterProduct<T>::workspace();
  }

  static void forward(const api::LinearForward<T>& arguments) {
    const index_t inputs = arguments.inputs, outputs = arguments.outputs;
    pack_by_rows<T, kDenseVectors>(arguments.weight, outputs, 1, inputs, arguments.workspace);
    row_product<T>(arguments.threads, arguments.rows, outputs, Segments{1, {{0, inputs}}}, plain_rows(arguments.x, inputs),
                   arguments.workspace, arguments.bias, plain_rows(arguments.y, outputs));
  }

  static void backward(const api::LinearBackward<T>& arguments) {
    const index_t inputs = arguments.inputs, outputs = arguments.outputs;
    pack_by_columns<T, kDenseVectors>(arguments.weight, inputs, outputs, arguments.workspace);
    const Rows<const T> dy = plain_rows(arguments.dy, outputs);
    row_product<T>(arguments.threads, arguments.rows, inputs, Segments{1, {{0, outputs}}}, dy, arguments.workspace, nullptr,
                   plain_rows(arguments.dx, inputs));
    weight_gradient<T>(arguments.threads, outputs, inputs, arguments.rows, dy, plain_rows(arguments.x, inputs), arguments.dweight,
                       arguments.workspace + panels_size<T, kDenseVectors>(inputs, 1, outputs));
    if (arguments.dbias != nullptr) {
      const FlushDenormals flush;
      column_sums<T>(outputs, arguments.rows, dy, arguments.dbias);
    }
  }
};

}  // namespace rnnfast::RNNFAST_ISA
