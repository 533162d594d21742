// Packed panels: the order in which tiles read a weight matrix, so that one pass over memory feeds one tile.
//
// A panel covers kWidth = kVectors * lanes neighbouring units. Its gates come in groups that fit a tile;
// within a group every k holds one run of kWidth values per gate. Short last panels are filled with zeros.
//   by rows:    value of unit u, gate g at depth k is matrix[g * units + u][k]   (forward products, W x)
//   by columns: value of unit u at depth k is matrix[k][u]                       (backward products, W^T d)
#pragma once

#include "math/tile.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
void pack_by_rows(const T* matrix, index_t units, index_t gates, index_t gates_per_group, index_t depth,
                  index_t width, T* packed) {
  for (index_t first = 0; first < units; first += width, packed += gates * width * depth) {
    for (index_t gate = 0; gate < gates; ++gate) {
      const index_t group = gate / gates_per_group;
      T* const gate_column =
          packed + group * gates_per_group * width * depth + gate % gates_per_group * width;
      for (index_t lane = 0; lane < width; ++lane) {
        T* to = gate_column + lane;
        const index_t unit = first + lane;
        const T* row = matrix + (gate * units + unit) * depth;
        for (index_t k = 0; k < depth; ++k) to[k * gates_per_group * width] = unit < units ? row[k] : T(0);
      }
    }
  }
}

template <class T>
void pack_by_columns(const T* matrix, index_t units, index_t depth, index_t width, T* packed) {
  for (index_t first = 0; first < units; first += width) {
    const index_t present = units - first < width ? units - first : width;
    for (index_t k = 0; k < depth; ++k, packed += width) {
      const T* row = matrix + k * units + first;
      for (index_t lane = 0; lane < width; ++lane) packed[lane] = lane < present ? row[lane] : T(0);
    }
  }
}

}  // namespace rnnfast::RNNFAST_ISA
