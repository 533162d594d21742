// The sums of one panel of units for the rows of a step:
//   sums[r] = start[r] + W_ih x_r + W_hh h'_r
// A tile of rows keeps its sums in registers through both products; what a gate must see apart (GRU's n) is
// stored in between. The cell finds all sums in L1.
#pragma once

#include "kernels/recurrent_layout.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Panel, class T>
struct PanelSums {
  using V = Vec<T>;
  static constexpr int kColumns = Panel::kColumns, kRows = PanelProduct<T, kColumns>::kRows;
  static constexpr index_t kRow = Panel::kSums * V::kLanes;  // sums of one row

  // Rows with their depth, and the panel that they are multiplied with. Null rows: that product is in the
  // starts already.
  struct Operand {
    const T* const* rows;
    index_t depth;
    const T* panel;
  };
  Operand inputs, hidden;
  const T* const* start;  // of every row; the sums' runs lie `run` apart
  index_t run;

  void form(index_t count, T* sums) const {
    for (int group = 0; group < Panel::kGroups; ++group) {
      for_each_tile<kRows>(0, count, [&](auto tile_rows, index_t first) {
        with_group<0>(group, [&](auto own) {
          tile<decltype(tile_rows)::value, decltype(own)::value>(first, sums + first * kRow);
        });
      });
    }
  }

 private:
  template <int kGroup, class Body>
  static RNNFAST_INLINE void with_group(int group, Body&& body) {
    if constexpr (kGroup + 1 < Panel::kGroups) {
      if (group != kGroup) return with_group<kGroup + 1>(group, body);
    }
    body(Constant<kGroup>{});
  }

  // The place of a slot, in vectors from the beginning of a row of sums, within a start.
  RNNFAST_INLINE const T* start_of(index_t row, int slot) const {
    return start[row] + slot / Panel::kUnitVectors * run + slot % Panel::kUnitVectors * V::kLanes;
  }

  template <int kTileRows, int kGroup>
  RNNFAST_INLINE void tile(index_t first, T* sums) const {
    constexpr const int* kIn = Panel::kInputSlots.slot + kGroup * kColumns;
    constexpr const int* kOut = Panel::kHiddenSlots.slot + kGroup * kColumns;
    V sum[kTileRows][kColumns];
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kColumns; ++c) sum[r][c] = V::load(start_of(first + r, kIn[c]));
    }
    if (inputs.rows != nullptr) add<kTileRows, kGroup>(inputs, first, sum);
    RNNFAST_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      if (kIn[c] == kOut[c]) continue;
      RNNFAST_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        sum[r][c].store(sums + r * kRow + kIn[c] * V::kLanes);
        sum[r][c] = V::load(start_of(first + r, kOut[c]));
      }
    }
    add<kTileRows, kGroup>(hidden, first, sum);
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kColumns; ++c) sum[r][c].store(sums + r * kRow + kOut[c] * V::kLanes);
    }
  }

  template <int kTileRows, int kGroup>
  static RNNFAST_INLINE void add(const Operand& operand, index_t first, V (&sum)[kTileRows][kColumns]) {
    const T* at[kTileRows];
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) at[r] = operand.rows[first + r];
    accumulate<kTileRows, 1, kColumns, 1>(
        sum, at, operand.panel + kGroup * operand.depth * kColumns * V::kLanes, 0, operand.depth);
  }
};

}  // namespace rnnfast::RNNFAST_ISA
