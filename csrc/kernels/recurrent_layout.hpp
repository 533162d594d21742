// What forward and backward of a recurrent layer agree on: panels of packed weights, rows of state, rows of
// the tape.
#pragma once

#include "api/recurrent.hpp"
#include "kernels/outer_product.hpp"

namespace rnnfast::RNNFAST_ISA {

// How the gates of a cell fill the columns of a tile. A panel covers kUnitVectors vectors of hidden units;
// its gates go through the tile in groups of kGroupGates, all at once where their sums fit the registers.
template <class Cell>
struct ForwardPanel {
  static constexpr int kUnitVectors = Cell::kGates == 1 ? 2 : 1;
  static constexpr int kGroupGates = Cell::kGates == 4 && kTileSums < 24 ? 2 : Cell::kGates;
  static constexpr int kGroups = Cell::kGates / kGroupGates;
  static constexpr int kColumns = kGroupGates * kUnitVectors;
  static constexpr int kSums = Cell::kSums * kUnitVectors;  // vectors of sums per row and panel
  static_assert(Cell::kGates % kGroupGates == 0);

  // For one sample alone several panels go together; all their groups lie side by side in memory.
  template <class T>
  using Product = PanelProduct<T, kColumns>;
  static constexpr int kGroupsForOneRow = Product<float>::kPanelsForOneRow;
  static constexpr int kPanelsForOneRow = kGroupsForOneRow / kGroups;
  static_assert(kGroupsForOneRow % kGroups == 0);

  // Where the products of each column are summed: within a row of sums, and over the rows of the panels that
  // go together.
  struct Slots {
    int slot[kGroups * kColumns];
    int one_row[kGroupsForOneRow * kColumns];
  };
  static constexpr Slots slots(const int (&sum)[Cell::kGates]) {
    Slots result{};
    constexpr int kAll = kGroups * kColumns;
    for (int c = 0; c < kAll; ++c) result.slot[c] = sum[c / kUnitVectors] * kUnitVectors + c % kUnitVectors;
    for (int c = 0; c < kGroupsForOneRow * kColumns; ++c)
      result.one_row[c] = c / kAll * kSums + result.slot[c % kAll];
    return result;
  }
  static constexpr Slots kInputSlots = slots(Cell::kInputSum);
  static constexpr Slots kHiddenSlots = slots(Cell::kHiddenSum);
};

// Packed for forward: start of every sum | input panels | hidden panels.
template <class Cell, class T>
struct ForwardWeights {
  using Panel = ForwardPanel<Cell>;
  static constexpr index_t kWidth = Panel::kUnitVectors * Vec<T>::kLanes;

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
    pack_by_rows(weights.weight_ih, hidden, Cell::kGates, Panel::kGroupGates, inputs, kWidth,
                 weights.packed + input_offset());
    pack_by_rows(weights.weight_hh, hidden, Cell::kGates, Panel::kGroupGates, hidden, kWidth,
                 weights.packed + hidden_offset());
  }

 private:
  void add_bias(const T* bias, const int (&target)[Cell::kGates], T* packed) const {
    for (int gate = 0; gate < Cell::kGates; ++gate) {
      for (index_t unit = 0; unit < hidden; ++unit) {
        packed[unit / kWidth * start_stride() + target[gate] * kWidth + unit % kWidth] +=
            bias[gate * hidden + unit];
      }
    }
  }
};

// Packed for backward: panels of weight_ih by columns | panels of weight_hh by columns.
template <class Cell, class T>
struct BackwardWeights {
  index_t inputs, hidden;

  index_t hidden_offset() const { return dense_size<T>(inputs, Cell::kGates * hidden); }
  index_t size() const { return hidden_offset() + dense_size<T>(hidden, Cell::kGates * hidden); }

  void pack(const api::RecurrentWeights<T>& weights) const {
    const index_t depth = Cell::kGates * hidden;
    pack_by_columns(weights.weight_ih, inputs, depth, kDenseWidth<T>, weights.packed);
    pack_by_columns(weights.weight_hh, hidden, depth, kDenseWidth<T>, weights.packed + hidden_offset());
  }
};

// Rows of a power-of-two size would all fall into the same cache sets: one more cache line spreads them.
template <class T>
constexpr index_t kRowPadding = 64 / static_cast<index_t>(sizeof(T));

// Rows of state in a workspace are padded to whole panels, so that tiles load and store full vectors.
template <class T>
RNNFAST_INLINE index_t state_stride(index_t hidden) {
  return round_up(hidden, kDenseWidth<T>) + kRowPadding<T>;
}

// Rows of the tape: kSums runs of H values, later overwritten by their gradients.
template <class Cell, class T>
RNNFAST_INLINE index_t tape_stride(index_t hidden) {
  return Cell::kSums * hidden + kRowPadding<T>;
}

// The steps in the order in which they run: step s of T is time at(s), and the other way round.
struct StepOrder {
  index_t steps;
  bool reverse;
  RNNFAST_INLINE index_t at(index_t step) const { return reverse ? steps - 1 - step : step; }
};

// The gates' places in a tape row as runs of columns. Gates that lie side by side (all but GRU's n) merge.
template <class Cell>
constexpr bool side_by_side(const int (&sum)[Cell::kGates]) {
  for (int gate = 0; gate < Cell::kGates; ++gate) {
    if (sum[gate] != gate) return false;
  }
  return true;
}

template <class Cell>
RNNFAST_INLINE Segments input_segments(index_t hidden) {
  static_assert(side_by_side<Cell>(Cell::kInputSum),
                "the first sums of a cell are those of its gates' input products");
  return {1, {{0, Cell::kGates * hidden}}};
}

template <class Cell>
RNNFAST_INLINE Segments hidden_segments(index_t hidden) {
  if constexpr (side_by_side<Cell>(Cell::kHiddenSum)) return {1, {{0, Cell::kGates * hidden}}};
  Segments segments{Cell::kGates, {}};
  for (int gate = 0; gate < Cell::kGates; ++gate)
    segments.segment[gate] = {Cell::kHiddenSum[gate] * hidden, hidden};
  return segments;
}

}  // namespace rnnfast::RNNFAST_ISA
