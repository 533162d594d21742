// Packed panels: the order in which tiles read a weight matrix, so that one pass over memory feeds one tile.
//
// A panel holds, for every k, `groups` x kVectors vectors of neighbouring columns; short last panels are filled with zeros.
//   by rows:    column u of group g at depth k is matrix[g * units + u][k]     (forward products, W x)
//   by columns: column u at depth k is matrix[k][u]                            (backward products, W^T d)
#pragma once

#include "math/tile.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T, int kVectors>
constexpr RNNFAST_INLINE index_t panel_width() { return static_cast<index_t>(kVectors) * Vec<T>::kLanes; }

template <class T, int kVectors>
RNNFAST_INLINE index_t panels_size(index_t units, index_t groups, index_t depth) {
  return round_up(units, panel_width<T, kVectors>()) * groups * depth;
}

template <class T, int kVectors>
void pack_by_rows(const T* matrix, index_t units, index_t groups, index_t depth, T* packed) {
  constexpr index_t kWidth = panel_width<T, kVectors>();
  for (index_t first = 0; first < units; first += kWidth, packed += kWidth * groups * depth) {
    for (index_t group = 0; group < groups; ++group) {
      for (index_t lane = 0; lane < kWidth; ++lane) {
        T* to = packed + group * kWidth + lane;
        const index_t unit = first + lane;
        const T* row = matrix + (group * units + unit) * depth;
        for (index_t k = 0; k < depth; ++k) to[k * groups * kWidth] = unit < units ? row[k] : T(0);
      }
    }
  }
}

template <class T, int kVectors>
void pack_by_columns(const T* matrix, index_t units, index_t depth, T* packed) {
  constexpr index_t kWidth = panel_width<T, kVectors>();
  for (index_t first = 0; first < units; first += kWidth) {
    const index_t present = units - first < kWidth ? units - first : kWidth;
    for (index_t k = 0; k < depth; ++k, packed += kWidth) {
      const T* row = matrix + k * units + first;
      for (index_t lane = 0; lane < kWidth; ++lane) packed[lane] = lane < present ? row[lane] : T(0);
    }
  }
}

}  // namespace rnnfast::RNNFAST_ISA
