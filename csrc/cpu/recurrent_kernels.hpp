// What recurrent_float.cpp and recurrent_double.cpp instantiate: the kernels of every cell.
#pragma once

#include "cpu/recurrent.hpp"
#include "kernels/recurrent_backward.hpp"
#include "kernels/recurrent_forward.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
constexpr api::RecurrentKernels<T> recurrent_kernels() {
  return {
      [](index_t inputs, index_t hidden, index_t projection) {
        return ForwardWeights<Cell, T>{inputs, hidden, projection}.size();
      },
      [](index_t inputs, index_t hidden, index_t projection) {
        return BackwardWeights<Cell, T>{inputs, hidden, projection}.size();
      },
      [](const api::RecurrentWeights<T>& weights) {
        ForwardWeights<Cell, T>{weights.inputs, weights.hidden, weights.projection}.pack(weights);
      },
      [](const api::RecurrentWeights<T>& weights) {
        BackwardWeights<Cell, T>{weights.inputs, weights.hidden, weights.projection}.pack(weights);
      },
      [](const api::RecurrentDims& dims) { return TapeRow<Cell, T>(dims).stride; },
      RecurrentForwardPass<Cell, T>::workspace,
      RecurrentBackwardPass<Cell, T>::workspace,
      RecurrentForwardPass<Cell, T>::run,
      RecurrentBackwardPass<Cell, T>::run,
  };
}

template <class T, class... Cells>
constexpr KernelsOfCells<T> kernels_of(CellList<Cells...>) {
  return {recurrent_kernels<Cells, T>()...};
}

}  // namespace rnnfast::RNNFAST_ISA
