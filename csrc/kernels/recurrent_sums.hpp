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
  static constexpr int kColumns = Panel::kColumns;
  static constexpr index_t kRow = Panel::kSums * V::kLanes;  // sums of one row

  // Rows with their depth, and the panel that they are multiplied with. Null rows: that product is in the
  // starts already.
  struct Operand {
    const T* const* rows;
    index_t depth;
    const T* panel;
  };
  Operand inputs, hidden;
  const T* const* start;  // of every line of sums; a start's runs lie `run` apart
  index_t run;
  bool far;  // see is_far

  // Of `units` units of the panel: where they do not reach its second vector, and a tile's columns are the
  // vectors of one gate, the sums of the first vector alone. One function with its tiles inlined: what
  // closures hold goes through memory, by vector registers that wait for the multiply-adds before.
  [[gnu::noinline]] void form(index_t count, index_t units, T* sums) const {
    if constexpr (kColumns == Panel::kUnitVectors && kColumns == 2) {
      if (units <= V::kLanes) return form<1, false>(count, sums);
    }
    far ? form<kColumns, true>(count, sums) : form<kColumns, false>(count, sums);
  }

  // Of a few rows and kPanels panels, which follow each other. Lines of sums and starts: of all rows for the
  // first panel, then for the next one. take(line, slot, sum) is given each sum when it is complete.
  template <int kFew, int kPanels, class Take>
  RNNFAST_INLINE void form_together(Take&& take) const {
    constexpr int kOne = Panel::kGroups * kColumns, kAll = kPanels * kOne;
    constexpr const int *kIn = Panel::kInputSlots.slot, *kOut = Panel::kHiddenSlots.slot;
    const auto line = [](int r, int c) { return c / kOne * kFew + r; };
    V sum[kFew][kAll];
    RNNFAST_UNROLL
    for (int r = 0; r < kFew; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kAll; ++c) sum[r][c] = V::load(start_of(line(r, c), kIn[c % kOne]));
    }
    if (inputs.rows != nullptr) add_together<kFew, kPanels>(inputs, sum);
    RNNFAST_UNROLL
    for (int c = 0; c < kAll; ++c) {
      if (kIn[c % kOne] == kOut[c % kOne]) continue;
      RNNFAST_UNROLL
      for (int r = 0; r < kFew; ++r) {
        take(line(r, c), kIn[c % kOne], sum[r][c]);
        sum[r][c] = V::load(start_of(line(r, c), kOut[c % kOne]));
      }
    }
    add_together<kFew, kPanels>(hidden, sum);
    RNNFAST_UNROLL
    for (int r = 0; r < kFew; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kAll; ++c) take(line(r, c), kOut[c % kOne], sum[r][c]);
    }
  }

 private:
  template <int kUsed, bool kFar>
  RNNFAST_INLINE void form(index_t count, T* sums) const {
    constexpr int kRows = PanelProduct<T, kUsed>::kRows;
    for (int group = 0; group < Panel::kGroups; ++group) {
      for_each_tile<kRows>(0, count, [&](auto tile_rows, index_t first) RNNFAST_INLINE_BODY {
        constexpr int kTileRows = decltype(tile_rows)::value;
        // Where shares of the next panel are fetched, most tiles have all rows or one less: others need not.
        constexpr bool kFetches = kFar && kTileRows >= (kFetchedAhead > 0 ? kFetchingRows : kRows - 1);
        with_group<0>(group, [&](auto own) RNNFAST_INLINE_BODY {
          tile<kTileRows, decltype(own)::value, kUsed, kFetches>(first, count, sums + first * kRow);
        });
      });
    }
  }

  template <int kGroup, class Body>
  static RNNFAST_INLINE void with_group(int group, Body&& body) {
    if constexpr (kGroup + 1 < Panel::kGroups) {
      if (group != kGroup) return with_group<kGroup + 1>(group, body);
    }
    body(Constant<kGroup>{});
  }

  // The place of a slot, in vectors from the beginning of a line of sums, within its start.
  RNNFAST_INLINE const T* start_of(index_t line, int slot) const {
    return start[line] + slot / Panel::kUnitVectors * run + slot % Panel::kUnitVectors * V::kLanes;
  }

  template <int kTileRows, int kGroup, int kUsed, bool kFetches>
  RNNFAST_INLINE void tile(index_t first, index_t count, T* sums) const {
    constexpr const int* kIn = Panel::kInputSlots.slot + kGroup * kColumns;
    constexpr const int* kOut = Panel::kHiddenSlots.slot + kGroup * kColumns;
    V sum[kTileRows][kUsed];
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kUsed; ++c) sum[r][c] = V::load(start_of(first + r, kIn[c]));
    }
    if (inputs.rows != nullptr) add<kTileRows, kGroup, kUsed, kFetches>(inputs, first, count, sum);
    RNNFAST_UNROLL
    for (int c = 0; c < kUsed; ++c) {
      if (kIn[c] == kOut[c]) continue;
      RNNFAST_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        sum[r][c].store(sums + r * kRow + kIn[c] * V::kLanes);
        sum[r][c] = V::load(start_of(first + r, kOut[c]));
      }
    }
    add<kTileRows, kGroup, kUsed, kFetches>(hidden, first, count, sum);
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kUsed; ++c) sum[r][c].store(sums + r * kRow + kOut[c] * V::kLanes);
    }
  }

  template <int kFew, int kPanels>
  static RNNFAST_INLINE void add_together(const Operand& operand,
                                          V (&sum)[kFew][kPanels * Panel::kGroups * kColumns]) {
    const T* at[kFew];
    RNNFAST_UNROLL
    for (int r = 0; r < kFew; ++r) at[r] = operand.rows[r];
    accumulate<kFew, kPanels * Panel::kGroups, kColumns>(sum, at, operand.panel,
                                                         operand.depth * kColumns * V::kLanes, operand.depth);
  }

  template <int kTileRows, int kGroup, int kUsed, bool kFetches>
  RNNFAST_INLINE void add(const Operand& operand, index_t first, index_t count,
                          V (&sum)[kTileRows][kUsed]) const {
    constexpr index_t kRun = kColumns * V::kLanes;  // of a panel, per k
    const T* at[kTileRows];
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) at[r] = operand.rows[first + r];
    const T* panel = operand.panel + kGroup * operand.depth * kRun;
    if constexpr (!kFetches || kFetchedAhead > 0) {
      accumulate<kTileRows, 1, kUsed, kColumns, kFetches>(sum, at, panel, 0, operand.depth);
    } else {
      // In pieces, between which the next group's panel is fetched, which lies behind this one.
      const index_t share = kPiece * kTileRows * kRun / count;
      const T* next = panel + (operand.depth + operand.depth * first / count) * kRun;
      for (index_t k = 0; k < operand.depth; k += kPiece, panel += kPiece * kRun, next += share) {
        fetch_ahead(next, next + share);
        const index_t left = operand.depth - k;
        accumulate<kTileRows, 1, kUsed, kColumns>(sum, at, panel, 0, left < kPiece ? left : kPiece);
        RNNFAST_UNROLL
        for (int r = 0; r < kTileRows; ++r) at[r] += kPiece;
      }
    }
  }
  static constexpr index_t kPiece = 64;
};

}  // namespace rnnfast::RNNFAST_ISA
