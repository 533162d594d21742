// The recurrent kernels of a CPU variant, all cells in the order of cells/registry.hpp. Each dtype is instantiated in a
// file of its own, so that compilers share the work; variant.cpp only names them.
#pragma once

#include "api/recurrent.hpp"
#include "cells/registry.hpp"
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

template <class T, class List>
struct RecurrentTable;
template <class T, class... Cells>
struct RecurrentTable<T, CellList<Cells...>> {
  static constexpr int count = sizeof...(Cells);
  static const api::RecurrentKernels<T> kernels[count];
};
template <class T, class... Cells>
constinit const api::RecurrentKernels<T> RecurrentTable<T, CellList<Cells...>>::kernels[] = {
    recurrent_kernels<Cells, T>()...};

template <class T>
using Recurrent = RecurrentTable<T, AllCells>;

}  // namespace rnnfast::RNNFAST_ISA
