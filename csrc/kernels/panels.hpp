// Packed panels: the order in which tiles read a weight matrix, so that one pass over memory feeds one tile.
//
// A panel covers kWidth = kVectors * lanes neighbouring units. Its gates come in groups that fit a tile;
// within a group every k holds one run of kWidth values per gate. Short last panels are filled with zeros.
//   by rows:    value of unit u, gate g at depth k is matrix[g * units + u][k]   (forward products, W x)
//   by columns: value of unit u at depth k is matrix[k][u]                       (backward products, W^T d)
// Threads share the panels: weights that are trained are packed anew for every step, of few samples and steps
// a good part of its work. Not here: those of convolutions (gathered_product.hpp).
#pragma once

#include "base/parallel.hpp"
#include "math/transpose.hpp"

namespace rnnfast::RNNFAST_ISA {

// body(first, panel): of every panel the first unit and its place.
template <class T, class Body>
void for_each_panel(int threads, index_t units, index_t size, index_t width, T* packed, Body&& body) {
  const index_t panels = ceil_div(units, width);
  // To move a value takes about as long as so many operations: .3 ns, by a trial that is not recorded.
  constexpr double kOperations = 30;
  const double operations = kOperations * static_cast<double>(panels) * static_cast<double>(size);
  const int parts = parallel::worthwhile_parts(threads, operations, panels);
  parallel::for_each_part(parts, [&](int part) {
    const parallel::Range own = parallel::share(panels, parts, part, 1);
    for (index_t panel = own.begin; panel < own.end; ++panel) body(panel * width, packed + panel * size);
  });
}

template <class T>
void pack_by_rows(int threads, const T* matrix, index_t units, index_t gates, index_t gates_per_group,
                  index_t depth, index_t width, T* packed) {
  const index_t step = gates_per_group * width;
  for_each_panel(threads, units, gates * width * depth, width, packed, [&](index_t first, T* panel) {
    const index_t present = units - first < width ? units - first : width;
    for (index_t gate = 0; gate < gates; ++gate) {
      T* const to = panel + gate / gates_per_group * step * depth + gate % gates_per_group * width;
      transpose(present, depth, matrix + (gate * units + first) * depth, to, step);
      if (present == width) continue;
      for (index_t k = 0; k < depth; ++k) {
        for (index_t lane = present; lane < width; ++lane) to[k * step + lane] = T(0);
      }
    }
  });
}

template <index_t kWidth, class T>
void pack_by_columns(int threads, const T* matrix, index_t units, index_t depth, T* packed) {
  for_each_panel(threads, units, depth * kWidth, kWidth, packed, [&](index_t first, T* panel) {
    for (index_t k = 0; k < depth; ++k, panel += kWidth) {
      const T* row = matrix + k * units + first;
      if (units - first >= kWidth) {
        std::memcpy(panel, row, kWidth * sizeof(T));
      } else {
        copy_padded(panel, kWidth, row, units - first);
      }
    }
  });
}

}  // namespace rnnfast::RNNFAST_ISA
