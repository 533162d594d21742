// What forward and backward of a recurrent layer agree on: register tiles, packed weights, rows of state.
#pragma once

#include "api/recurrent.hpp"
#include "kernels/dense.hpp"

namespace rnnfast::RNNFAST_ISA {

// A forward tile owns all sums of its hidden units, so the cell acts on registers.
template <class Cell>
struct ForwardTile {
  static constexpr int kUnitVectors = Cell::kSums == 1 ? 2 : 1;
  static constexpr int kRows = kTileSums / (Cell::kSums * kUnitVectors) < 8 ? kTileSums / (Cell::kSums * kUnitVectors) : 8;
  static constexpr int kPanelsForOneRow = Cell::kSums == 1 ? 4 : 2;
};

// Packed for forward: start of every sum | input panels | hidden panels.
template <class Cell, class T>
struct ForwardWeights {
  static constexpr int kUnitVectors = ForwardTile<Cell>::kUnitVectors;
  static constexpr index_t kWidth = kUnitVectors * Vec<T>::kLanes;

  index_t inputs, hidden;

  index_t panels() const { return ceil_div(hidden, kWidth); }
  index_t start_stride() const { return Cell::kSums * kWidth; }
  index_t input_stride() const { return inputs * Cell::kGates * kWidth; }
  index_t hidden_stride() const { return hidden * Cell::kGates * kWidth; }
  index_t input_offset() const { return panels() * start_stride(); }
  index_t hidden_offset() const { return input_offset() + panels() * input_stride(); }
  index_t size() const { return hidden_offset() + panels() * hidden_stride(); }

  void pack(const api::RecurrentWeights<T>& weights) const {
    for (index_t position = 0; position < input_offset(); ++position) weights.packed[position] = T(0);
    if (weights.bias_ih != nullptr) {
      add_bias(weights.bias_ih, Cell::kInputSum, weights.packed);
      add_bias(weights.bias_hh, Cell::kHiddenSum, weights.packed);
    }
    pack_by_rows<T, kUnitVectors>(weights.weight_ih, hidden, Cell::kGates, inputs, weights.packed + input_offset());
    pack_by_rows<T, kUnitVectors>(weights.weight_hh, hidden, Cell::kGates, hidden, weights.packed + hidden_offset());
  }

 private:
  void add_bias(const T* bias, const int (&target)[Cell::kGates], T* packed) const {
    for (int gate = 0; gate < Cell::kGates; ++gate) {
      for (index_t unit = 0; unit < hidden; ++unit) {
        packed[unit / kWidth * start_stride() + target[gate] * kWidth + unit % kWidth] += bias[gate * hidden + unit];
      }
    }
  }
};

// Packed for backward: panels of weight_ih by columns | panels of weight_hh by columns.
template <class Cell, class T>
struct BackwardWeights {
  index_t inputs, hidden;

  index_t hidden_offset() const { return panels_size<T, kDenseVectors>(inputs, Cell::kGates, hidden); }
  index_t size() const { return hidden_offset() + panels_size<T, kDenseVectors>(hidden, Cell::kGates, hidden); }

  void pack(const api::RecurrentWeights<T>& weights) const {
    pack_by_columns<T, kDenseVectors>(weights.weight_ih, inputs, Cell::kGates * hidden, weights.packed);
    pack_by_columns<T, kDenseVectors>(weights.weight_hh, hidden, Cell::kGates * hidden, weights.packed + hidden_offset());
  }
};

// Rows of state in a workspace are padded to whole panels, so that tiles load and store full vectors, plus one cache line, so
// that rows of a power-of-two width do not all fall into the same cache sets.
template <class T>
RNNFAST_INLINE index_t state_stride(index_t hidden) {
  constexpr index_t kWidest = 2 * Vec<T>::kLanes;
  return round_up(hidden, kWidest) + 64 / static_cast<index_t>(sizeof(T));
}

// The steps in the order in which they run: step s of T is time at(s).
struct StepOrder {
  index_t steps;
  bool reverse;
  RNNFAST_INLINE index_t at(index_t step) const { return reverse ? steps - 1 - step : step; }
};

// The gates' slots of a gradient row [S, H] as runs of columns. Gates that lie side by side (all but GRU's n) merge.
template <class Cell>
constexpr bool side_by_side(const int (&sum)[Cell::kGates]) {
  for (int gate = 0; gate < Cell::kGates; ++gate) {
    if (sum[gate] != gate) return false;
  }
  return true;
}

template <class Cell>
RNNFAST_INLINE Segments input_segments(index_t hidden) {
  static_assert(side_by_side<Cell>(Cell::kInputSum), "the first sums of a cell are those of its gates' input products");
  return {1, {{0, Cell::kGates * hidden}}};
}

template <class Cell>
RNNFAST_INLINE Segments hidden_segments(index_t hidden) {
  if constexpr (side_by_side<Cell>(Cell::kHiddenSum)) return {1, {{0, Cell::kGates * hidden}}};
  Segments segments{Cell::kGates, {}};
  for (int gate = 0; gate < Cell::kGates; ++gate) segments.segment[gate] = {Cell::kHiddenSum[gate] * hidden, hidden};
  return segments;
}

}  // namespace rnnfast::RNNFAST_ISA
