// The register tile under every product: kRows x kColumns vectors of sums stay in registers while k runs
// upwards,
//
//   sum[r][c] <- fma(rows[r][k], panel[k][c], sum[r][c])   for k = 0 … depth-1, one k after the other,
//
// with rows read as broadcast scalars and the panel as packed vectors. Each sum is one chain of FMAs in
// ascending k: nothing about tiles, blocks, threads or batch size can change its bits. A stored sum picked up
// again is the same sum.
#pragma once

#include "math/vec.hpp"

namespace rnnfast::RNNFAST_ISA {

// How many sums fit beside a panel's vectors and one broadcast value: AVX2 and baseline x86 have 16
// registers, AVX-512 and NEON 32.
#if defined(RNNFAST_ISA_AVX2)
constexpr int kTileSums = 12;
#elif defined(RNNFAST_ISA_AVX512) || defined(RNNFAST_ISA_NEON)
constexpr int kTileSums = 24;
#else
constexpr int kTileSums = 8;
#endif

// How far ahead a tile fetches its panel into L1 where its caller wants that, in bytes; 0: never. 4 KB are 16
// steps of k of four AVX-512 vectors, 200 cycles with two FMA pipes and 400 with one; on an Emerald Rapids
// 2 KB did about as well, 8 and 16 KB worse.
constexpr int kFetchedAhead = kVectorBytes == 64 ? 4096 : 0;

// `kPanels` panels lie panel_stride apart; panel p feeds columns p * kColumns onwards. Of a panel that is not
// full the first columns alone may be used: kVectors is what one k holds of it.
template <int kRows, int kPanels, int kColumns, int kVectors = kColumns, bool kFetches = false, class T>
RNNFAST_INLINE void accumulate(Vec<T> (&sum)[kRows][kPanels * kColumns], const T* const (&rows)[kRows],
                               const T* panel, index_t panel_stride, index_t depth) {
  using V = Vec<T>;
  const T* column[kPanels];
  RNNFAST_UNROLL
  for (int p = 0; p < kPanels; ++p) column[p] = panel + p * panel_stride;
  for (index_t k = 0; k < depth; ++k) {
    // All weights first and one row at a time: sums, weights and one value are all the registers that this
    // takes. Tiles of few rows have some weights too many (3 x 4 on AVX2): those are operands in memory.
    V weight[kPanels * kColumns];
    RNNFAST_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      RNNFAST_UNROLL
      for (int c = 0; c < kColumns; ++c) {
        weight[p * kColumns + c] = V::load(column[p] + c * V::kLanes);
        if constexpr (kFetches)
          __builtin_prefetch(column[p] + c * V::kLanes + kFetchedAhead / sizeof(T), 0, 3);
      }
      column[p] += kVectors * V::kLanes;
    }
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const V value = V::broadcast(rows[r][k]);
      RNNFAST_UNROLL
      for (int c = 0; c < kPanels * kColumns; ++c) sum[r][c] = fma(value, weight[c], sum[r][c]);
    }
  }
}

// The same where the values of a tile's rows lie side by side, row_step further for the next k.
template <int kRows, int kColumns, class T>
RNNFAST_INLINE void accumulate_outer(Vec<T> (&sum)[kRows][kColumns], const T* rows, index_t row_step,
                                     const T* panel, index_t depth) {
  using V = Vec<T>;
  for (index_t k = 0; k < depth; ++k, rows += row_step, panel += kColumns * V::kLanes) {
    V weight[kColumns];
    RNNFAST_UNROLL
    for (int c = 0; c < kColumns; ++c) weight[c] = V::load(panel + c * V::kLanes);
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const V value = V::broadcast(rows[r]);
      RNNFAST_UNROLL
      for (int c = 0; c < kColumns; ++c) sum[r][c] = fma(value, weight[c], sum[r][c]);
    }
  }
}

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

template <int kMost, class Body>
RNNFAST_INLINE void call_with_rows(index_t rows, Body&& body) {
  if constexpr (kMost > 1) {
    if (rows < kMost) return call_with_rows<kMost - 1>(rows, body);
  }
  body(Constant<kMost>{});
}

// Cuts rows into tiles of at most kMost, as even as possible (22 rows: 6 6 5 5, not 6 6 6 4), and calls
// body(Constant<rows>, first_row) for each.
template <int kMost, class Body>
RNNFAST_INLINE void for_each_tile(index_t begin, index_t end, Body&& body) {
  index_t tiles = ceil_div(end - begin, kMost);
  for (index_t first = begin; tiles > 0; --tiles) {
    const index_t rows = ceil_div(end - first, tiles);
    call_with_rows<kMost>(rows, [&](auto tile_rows) RNNFAST_INLINE_BODY { body(tile_rows, first); });
    first += rows;
  }
}

}  // namespace rnnfast::RNNFAST_ISA
