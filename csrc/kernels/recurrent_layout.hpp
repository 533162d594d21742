// What forward and backward of a recurrent layer agree on: panels of packed weights, rows of state, rows
// of the tape.
#pragma once

#include "cells/cell.hpp"
#include "kernels/product.hpp"
#include "kernels/recurrent_schedule.hpp"
#include "math/parts.hpp"

namespace rnnfast::RNNFAST_ISA {

// The gates' places in a tape row as runs of columns. Gates that lie side by side (all but GRU's n) merge.
template <class Cell>
constexpr bool side_by_side(const int (&sum)[Cell::kGates]) {
  for (int gate = 0; gate < Cell::kGates; ++gate) {
    if (sum[gate] != gate) return false;
  }
  return true;
}

// The sums that the gates' hidden products join, as the digits of one number: cells whose gates go to the
// same sums have the same panels, and share the code that forms them.
template <class Cell>
constexpr int hidden_sums() {
  int digits = 0;
  for (int gate = Cell::kGates - 1; gate >= 0; --gate) digits = digits * 8 + Cell::kHiddenSum[gate];
  return digits;
}

// How the gates of a cell fill the columns of a tile. A panel covers kUnitVectors vectors of hidden units;
// its gates go through the tile in groups of kGroupGates, all at once where their sums fit the registers.
// Gates whose products are made one after the other (kGated) are groups of their own.
template <int kGates, int kSumsOfUnit, int kHiddenSums, bool kGated>
struct PanelLayout {
  static constexpr int kUnitVectors = kGates == 1 || kGated ? 2 : 1;
  static constexpr int kGroupGates = kGated ? 1 : kGates == 4 && kTileSums < 24 ? 2 : kGates;
  static constexpr int kGroups = kGates / kGroupGates;
  static constexpr int kColumns = kGroupGates * kUnitVectors;
  static constexpr int kSums = kSumsOfUnit * kUnitVectors;  // vectors of sums per row and panel
  static_assert(kGates % kGroupGates == 0);

  // Of few rows so many panels go together; all their groups lie side by side in memory.
  static constexpr int together(int rows) { return panels_together(rows, kGroups * kColumns); }

  // Where the products of each column are summed within a row of sums.
  struct Slots {
    int slot[kGroups * kColumns];
  };
  static constexpr Slots slots(bool hidden) {
    Slots result{};
    for (int c = 0; c < kGroups * kColumns; ++c) {
      const int gate = c / kUnitVectors, sum = hidden ? kHiddenSums >> 3 * gate & 7 : gate;
      result.slot[c] = sum * kUnitVectors + c % kUnitVectors;
    }
    return result;
  }
  static constexpr Slots kInputSlots = slots(false);
  static constexpr Slots kHiddenSlots = slots(true);
};

template <class Cell>
struct PanelOf {
  static constexpr bool kGated = Cell::kGatedSums > 0;
  static_assert(Cell::kStates <= api::kMostStates);
  static_assert(side_by_side<Cell>(Cell::kInputSum), "the first sums are those of the gates' input products");
  static_assert(!kGated || side_by_side<Cell>(Cell::kHiddenSum), "a sum before the gate is that of one gate");
  using Layout = PanelLayout<Cell::kGates, Cell::kSums, hidden_sums<Cell>(), kGated>;
};
template <class Cell>
using ForwardPanel = typename PanelOf<Cell>::Layout;

// Of the last units, where each sum has a part of a vector (recurrent_tail.hpp): start of all sums | for
// every input the weights to all sums | for every value of h the same.
template <class Cell, class T, int kParts>
struct TailWeights {
  static constexpr index_t kPart = Vec<T>::kLanes / kParts;
  static constexpr int kVectors = (Cell::kSums + kParts - 1) / kParts;
  static constexpr index_t kRow = kVectors * Vec<T>::kLanes;  // sums of one row

  index_t inputs, hidden, outputs;

  index_t first() const { return hidden / Vec<T>::kLanes * Vec<T>::kLanes; }
  index_t size() const { return (1 + inputs + outputs) * kRow; }

  void pack(const api::RecurrentWeights<T>& weights, T* packed) const {
    for (index_t i = 0; i < size(); ++i) packed[i] = T(0);
    for (int gate = 0; gate < Cell::kGates; ++gate) {
      for (index_t unit = first(); unit < hidden; ++unit) {
        const index_t row = gate * hidden + unit, lane = unit - first();
        T* const input = packed + Cell::kInputSum[gate] * kPart + lane;
        T* const own = packed + Cell::kHiddenSum[gate] * kPart + lane;
        if (weights.bias_ih != nullptr) {
          *input += weights.bias_ih[row];
          *own += weights.bias_hh[row];
        }
        for (index_t k = 0; k < inputs; ++k) input[(1 + k) * kRow] = weights.weight_ih[row * inputs + k];
        for (index_t k = 0; k < outputs; ++k)
          own[(1 + inputs + k) * kRow] = weights.weight_hh[row * outputs + k];
      }
    }
  }
};

// Packed for forward: start of every sum | input panels | hidden panels | panels of the projection | the last
// units once more, where they are few.
template <class Cell, class T>
struct ForwardWeights {
  using Panel = ForwardPanel<Cell>;
  static constexpr index_t kWidth = Panel::kUnitVectors * Vec<T>::kLanes;
  static constexpr bool kHasTails = Panel::kUnitVectors == 1;

  index_t inputs, hidden, projection;

  index_t outputs() const { return projection > 0 ? projection : hidden; }
  index_t panels() const { return ceil_div(hidden, kWidth); }
  index_t start_stride() const { return Cell::kSums * kWidth; }
  index_t input_stride() const { return inputs * Cell::kGates * kWidth; }
  index_t hidden_stride() const { return outputs() * Cell::kGates * kWidth; }
  index_t input_offset() const { return panels() * start_stride(); }
  index_t hidden_offset() const { return input_offset() + panels() * input_stride(); }
  index_t projection_offset() const { return hidden_offset() + panels() * hidden_stride(); }
  index_t tail_offset() const { return projection_offset() + dense_size<T>(projection, hidden); }
  index_t size() const {
    index_t end = tail_offset();
    with_tail([&](const auto& tail) { end += tail.size(); });
    return end;
  }

  // How many runs of the last units share a vector, 1: there is no such tail.
  int parts_of_tail() const {
    const index_t units = hidden % Vec<T>::kLanes;
    return units == 0 || !kHasTails ? 1 : parts_holding<T>(units);
  }

  const T* start_of(const T* packed, index_t panel) const { return packed + panel * start_stride(); }
  const T* input_panel(const T* packed, index_t panel) const {
    return packed + input_offset() + panel * input_stride();
  }
  const T* hidden_panel(const T* packed, index_t panel) const {
    return packed + hidden_offset() + panel * hidden_stride();
  }

  void pack(const api::RecurrentWeights<T>& weights) const {
    for (index_t position = 0; position < input_offset(); ++position) weights.packed[position] = T(0);
    if (weights.bias_ih != nullptr) {
      add_bias(weights.bias_ih, Cell::kInputSum, weights.packed);
      add_bias(weights.bias_hh, Cell::kHiddenSum, weights.packed);
    }
    pack_by_rows(weights.threads, weights.weight_ih, hidden, Cell::kGates, Panel::kGroupGates, inputs, kWidth,
                 weights.packed + input_offset());
    pack_by_rows(weights.threads, weights.weight_hh, hidden, Cell::kGates, Panel::kGroupGates, outputs(),
                 kWidth, weights.packed + hidden_offset());
    pack_by_rows(weights.threads, weights.weight_hr, projection, 1, 1, hidden, kDenseWidth<T>,
                 weights.packed + projection_offset());
    with_tail([&](const auto& tail) { tail.pack(weights, weights.packed + tail_offset()); });
  }

 private:
  // body(TailWeights) where there is a tail.
  template <class Body>
  void with_tail(Body&& body) const {
    if constexpr (kHasTails) {
      with_parts(parts_of_tail(), [&](auto parts) {
        body(TailWeights<Cell, T, decltype(parts)::value>{inputs, hidden, outputs()});
      });
    }
  }

  void add_bias(const T* bias, const int (&target)[Cell::kGates], T* packed) const {
    for (int gate = 0; gate < Cell::kGates; ++gate) {
      for (index_t unit = 0; unit < hidden; ++unit) {
        packed[unit / kWidth * start_stride() + target[gate] * kWidth + unit % kWidth] +=
            bias[gate * hidden + unit];
      }
    }
  }
};

// Adds rows x panel, groups begin … end - 1 of its gates.
template <class Cell, class T>
void add_panel(index_t count, const T* const* rows, const T* panel, index_t depth, SumRows<T> sums,
               const int* slots, int begin = 0, int end = ForwardPanel<Cell>::kGroups) {
  using Panel = ForwardPanel<Cell>;
  const index_t group_size = depth * Panel::kColumns * Vec<T>::kLanes;
  for (int group = begin; group < end; ++group) {
    PanelProduct<T, Panel::kColumns>::run(count, rows, {1, {{0, depth}}}, panel + group * group_size, sums,
                                          slots + group * Panel::kColumns);
  }
}

// Packed for backward, by columns: panels of weight_ih | of weight_hh, of the gates before kGatedSums and of
// the others apart | of weight_hr.
template <class Cell, class T>
struct BackwardWeights {
  static constexpr int kFirstGates = Cell::kGatedSums > 0 ? Cell::kGatedSums : Cell::kGates;

  index_t inputs, hidden, projection;

  index_t outputs() const { return projection > 0 ? projection : hidden; }
  index_t hidden_offset() const { return dense_size<T>(inputs, Cell::kGates * hidden); }
  index_t gated_offset() const { return hidden_offset() + dense_size<T>(outputs(), kFirstGates * hidden); }
  index_t projection_offset() const {
    return gated_offset() + dense_size<T>(outputs(), (Cell::kGates - kFirstGates) * hidden);
  }
  index_t size() const { return projection_offset() + dense_size<T>(hidden, projection); }

  void pack(const api::RecurrentWeights<T>& weights) const {
    const index_t first = kFirstGates * hidden, all = Cell::kGates * hidden;
    pack_by_columns<kDenseWidth<T>>(weights.threads, weights.weight_ih, inputs, all, weights.packed);
    pack_by_columns<kDenseWidth<T>>(weights.threads, weights.weight_hh, outputs(), first,
                                    weights.packed + hidden_offset());
    pack_by_columns<kDenseWidth<T>>(weights.threads, weights.weight_hh + first * outputs(), outputs(),
                                    all - first, weights.packed + gated_offset());
    pack_by_columns<kDenseWidth<T>>(weights.threads, weights.weight_hr, hidden, projection,
                                    weights.packed + projection_offset());
  }
};

// A sum that is complete, to its place in the gradients.
template <class T>
RNNFAST_INLINE void give(const api::RecurrentGradients<T>& gradients, T sum, T& place) {
  place = gradients.accumulate ? place + sum : sum;
}

// Rows of a power-of-two size would all fall into the same cache sets: one more cache line spreads them.
template <class T>
constexpr index_t kRowPadding = 64 / static_cast<index_t>(sizeof(T));

// Runs of one value per unit are padded to whole panels, so that tiles load and store full vectors.
template <class T>
RNNFAST_INLINE index_t padded(index_t units) {
  return round_up(units, kDenseWidth<T>);
}

// Which of the checkpoints [segments, kStates - 1, N, H] holds a state but h before the first step of a
// segment.
template <class Cell>
RNNFAST_INLINE index_t checkpoint(const api::RecurrentDims& dims, int state, index_t n, index_t step) {
  const index_t row = step / dims.segment * (Cell::kStates - 1) + state - 1;
  return (row * dims.batch + n) * dims.hidden;
}

// Rows of state in a workspace.
template <class T>
RNNFAST_INLINE index_t state_stride(index_t units) {
  return padded<T>(units) + kRowPadding<T>;
}

// A row of the tape: what one step of one sample leaves for backward, as runs of values, which backward
// overwrites by gradients:
//   sums        kSums runs of H: values of the gates -> gradients of the sums. Not kept with layer norm:
//               there the gates are computed again, cheaper than carrying them through memory as well
//   gated       H: gate(sum[0]) h', the operand of the second hidden product
//   states      kStates - 1 runs of H: states but h after the step
//   normalised  split: norm(W_ih x) and norm(W_hh h'), joint: norm of their sum; G*H each -> gradients of
//               what was normalised
//   operand     O: h' where it is not h
//   unprojected H, and dprojected O: what the projection was given, and the gradient of what it returned
//   moments     1 / deviation of the normalised runs, in order, then mean and 1 / deviation of the state that
//               h is an output of
template <class Cell, class T>
struct TapeRow {
  static constexpr index_t kMoments = 4;
  index_t gated, states, normalised, second, operand, unprojected, dprojected, moments, stride;
  index_t dsums;  // where the gradients of the input products' sums begin

  explicit RNNFAST_INLINE TapeRow(const api::RecurrentDims& dims) {
    const index_t hidden = dims.hidden;
    const bool split = dims.layer_norm == api::LayerNorm::kSplit;
    const bool normed = dims.layer_norm != api::LayerNorm::kNone;
    index_t end = normed ? 0 : Cell::kSums * hidden;
    const auto take = [&end](bool wanted, index_t count) {
      const index_t begin = end;
      if (wanted) end += count;
      return begin;
    };
    gated = take(Cell::kGatedSums > 0, hidden);
    states = take(true, (Cell::kStates - 1) * hidden);
    normalised = take(normed, Cell::kGates * hidden);
    second = take(split, Cell::kGates * hidden);
    operand = take(dims.masked, dims.outputs());
    unprojected = take(dims.projection > 0, hidden);
    dprojected = take(dims.projection > 0, dims.outputs());
    moments = take(normed, kMoments);
    stride = round_up(end, kRowPadding<T>) + kRowPadding<T>;
    dsums = normed ? normalised : 0;
  }
};

// Of the gates whose input products backward multiplies: all of them, side by side.
template <class Cell>
RNNFAST_INLINE Segments input_segments(index_t hidden) {
  static_assert(side_by_side<Cell>(Cell::kInputSum),
                "the first sums of a cell are those of its gates' input products");
  return {1, {{0, Cell::kGates * hidden}}};
}

// Of gates first … end - 1 where their hidden products were added.
template <class Cell>
RNNFAST_INLINE Segments hidden_segments(index_t hidden, int first = 0, int end = Cell::kGates) {
  if constexpr (side_by_side<Cell>(Cell::kHiddenSum)) return {1, {{first * hidden, (end - first) * hidden}}};
  Segments segments{end - first, {}};
  for (int gate = first; gate < end; ++gate)
    segments.segment[gate - first] = {Cell::kHiddenSum[gate] * hidden, hidden};
  return segments;
}

}  // namespace rnnfast::RNNFAST_ISA
