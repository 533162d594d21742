// The one product under every kernel: a tile of kRows x kColumns vectors of sums stays in registers while k runs upwards,
//
//   sum[r][c] <- fma(rows[r][k], panel[k][c], sum[r][c])   for k = 0 … depth-1, one k after the other,
//
// with `rows` read as broadcast scalars and `panel` as packed vectors. Each sum is one chain of FMAs in ascending k: nothing
// about tiles, threads or batch size can change its bits. Where a sum starts is the caller's choice (bias, stored sum, 0).
#pragma once

#include "math/vec.hpp"

namespace rnnfast::RNNFAST_ISA {

// How many samples x vectors of one register tile fit: the sums, one broadcast per row and one panel vector.
// AVX2 and scalar x86 have 16 registers, AVX-512 and NEON 32.
#if defined(RNNFAST_ISA_AVX2)
constexpr int kTileSums = 12;
#elif defined(RNNFAST_ISA_AVX512) || defined(RNNFAST_ISA_NEON)
constexpr int kTileSums = 24;
#else
constexpr int kTileSums = 8;
#endif

// Columns of a plain tile: panel vector c feeds sum c.
struct Identity {
  static constexpr int of(int column) { return column; }
};

// `panels` packed panels side by side, `kStep` vectors of each per k; panel p begins p * panel_stride further on.
// Row r is read at rows[r][k * kRowStep].
template <int kRows, int kPanels, int kStep, int kRowStep, class Target, class T, int kSums>
RNNFAST_INLINE void accumulate(Vec<T> (&sum)[kRows][kSums], const T* const (&rows)[kRows], const T* panel, index_t panel_stride,
                               index_t depth) {
  using V = Vec<T>;
  const T* column[kPanels];
  RNNFAST_UNROLL
  for (int p = 0; p < kPanels; ++p) column[p] = panel + p * panel_stride;
  for (index_t k = 0; k < depth; ++k) {
    V value[kRows];
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) value[r] = V::broadcast(rows[r][k * kRowStep]);
    RNNFAST_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      RNNFAST_UNROLL
      for (int c = 0; c < kStep; ++c) {
        const V weight = V::load(column[p] + c * V::kLanes);
        RNNFAST_UNROLL
        for (int r = 0; r < kRows; ++r) {
          V& target = sum[r][p * (kSums / kPanels) + Target::of(c)];
          target = fma(value[r], weight, target);
        }
      }
      column[p] += kStep * V::kLanes;
    }
  }
}

// Cuts `count` rows into tiles of at most kMost rows, as even as possible (22 rows: 6 6 5 5, not 6 6 6 4), and calls
// body(Constant<rows>, first_row) for each.
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

template <int kMost, class Body>
RNNFAST_INLINE void for_each_tile(index_t begin, index_t end, Body&& body) {
  index_t tiles = ceil_div(end - begin, kMost);
  for (index_t first = begin; tiles > 0; --tiles) {
    const index_t rows = ceil_div(end - first, tiles);
    call_with_rows<kMost>(rows, [&](auto tile_rows) { body(tile_rows, first); });
    first += rows;
  }
}

}  // namespace rnnfast::RNNFAST_ISA
