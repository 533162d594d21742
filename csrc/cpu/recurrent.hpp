// The recurrent kernels of a variant, all cells in the order of cells/registry.hpp. Each dtype is in a file
// of its own, so that compilers share the work; variant.cpp only names them.
#pragma once

#include <array>

#include "api/recurrent.hpp"
#include "cells/registry.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class... Cells>
constexpr std::size_t count_of(CellList<Cells...>) {
  return sizeof...(Cells);
}

template <class T>
using KernelsOfCells = std::array<api::RecurrentKernels<T>, count_of(AllCells{})>;

extern const KernelsOfCells<float> recurrent_float;
extern const KernelsOfCells<double> recurrent_double;

}  // namespace rnnfast::RNNFAST_ISA
