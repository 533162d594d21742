// The last units of a layer, where they are half of a vector or fewer: their sums share vectors, and so do
// the units of several rows where the cell acts. An LSTM of 20 units takes 5 vectors of 16 lanes per row
// then, not 8, in its products as in its cell.
//
// Part p of vector c belongs to sum c * kParts + p: a sum's values follow those of the sum before. The chains
// of FMAs are those of the panels. What a product does not join is behind it what it was before.
#pragma once

#include "kernels/recurrent_layout.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T, int kParts>
class TailSums {
  using V = Vec<T>;
  using Bits = typename V::Bits;
  using Weights = TailWeights<Cell, T, kParts>;
  static constexpr int kVectors = Weights::kVectors;
  static constexpr int kRows = PanelProduct<T, kVectors>::kRows;

 public:
  static constexpr index_t kRow = Weights::kRow;

  // Of rows 0 … count - 1. Where a row is taken alone, a vector from one of its sums on reaches into those of
  // the next row, or of zeros behind the last one: the padding of states may hold anything.
  static void form(index_t count, const T* const* x, index_t inputs, const T* const* h, index_t outputs,
                   const T* packed, T* sums) {
    for_each_tile<kRows>(0, count, [&](auto tile_rows, index_t first) {
      tile<decltype(tile_rows)::value>(x + first, inputs, h + first, outputs, packed, sums + first * kRow);
    });
  }

 private:
  static constexpr bool joined(const int (&sums)[Cell::kGates], int sum) {
    for (const int own : sums) {
      if (own == sum) return true;
    }
    return false;
  }
  // Whether a product leaves sums of a vector alone that are there, and a mask of all that it leaves alone.
  static constexpr bool passes_by(const int (&sums)[Cell::kGates], int vector) {
    for (int sum = vector * kParts; sum < (vector + 1) * kParts && sum < Cell::kSums; ++sum) {
      if (!joined(sums, sum)) return true;
    }
    return false;
  }
  static RNNFAST_INLINE Bits left_alone(const int (&sums)[Cell::kGates], int vector) {
    Bits mask{};
    for (int lane = 0; lane < V::kLanes; ++lane)
      mask[lane] = joined(sums, vector * kParts + lane / static_cast<int>(Weights::kPart)) ? 0 : -1;
    return mask;
  }

  template <int kTileRows>
  static void tile(const T* const* x, index_t inputs, const T* const* h, index_t outputs, const T* packed,
                   T* sums) {
    V sum[kTileRows][kVectors];
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kVectors; ++c) sum[r][c] = V::load(packed + c * V::kLanes);
    }
    add(x, packed + kRow, inputs, sum);
    RNNFAST_UNROLL
    for (int c = 0; c < kVectors; ++c) {
      // Weights of zero would do but for infinities and the sign of zero.
      if (passes_by(Cell::kInputSum, c)) {
        const Bits mask = left_alone(Cell::kInputSum, c);
        RNNFAST_UNROLL
        for (int r = 0; r < kTileRows; ++r)
          sum[r][c] = choose(mask, V::load(packed + c * V::kLanes), sum[r][c]);
      }
      if (passes_by(Cell::kHiddenSum, c)) {
        RNNFAST_UNROLL
        for (int r = 0; r < kTileRows; ++r) sum[r][c].store(sums + r * kRow + c * V::kLanes);
      }
    }
    add(h, packed + (1 + inputs) * kRow, outputs, sum);
    RNNFAST_UNROLL
    for (int c = 0; c < kVectors; ++c) {
      RNNFAST_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        T* const to = sums + r * kRow + c * V::kLanes;
        if (passes_by(Cell::kHiddenSum, c))
          sum[r][c] = choose(left_alone(Cell::kHiddenSum, c), V::load(to), sum[r][c]);
        sum[r][c].store(to);
      }
    }
  }

  template <int kTileRows>
  static RNNFAST_INLINE void add(const T* const* rows, const T* panel, index_t depth,
                                 V (&sum)[kTileRows][kVectors]) {
    const T* at[kTileRows];
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) at[r] = rows[r];
    accumulate<kTileRows, 1, kVectors>(sum, at, panel, 0, depth);
  }
};

}  // namespace rnnfast::RNNFAST_ISA
