// Products whose operands are gathered: the rows that enter one sum lie in several places, as those of a
// convolution's taps do.
//
//   sum[row] = start(row) + W_0 a_0[row] + W_1 a_1[row] + …   one chain of FMAs, operand after operand
//
// A tile keeps its sums in registers through all operands and hands them to the caller there, who applies
// what follows before anything is stored. Not here: rows in one place, which `PanelProduct` multiplies.
#pragma once

#include "kernels/product.hpp"

namespace rnnfast::RNNFAST_ISA {

// Row r of an operand is at rows[r]; it meets the part of every panel that begins at depth `first`.
template <class T>
struct Operand {
  const T* const* rows;
  index_t depth, first;
};

template <class T, int kColumns>
struct GatheredProduct {
  using V = Vec<T>;
  static constexpr int kFitting = kTileSums / kColumns;
  static constexpr int kRows = kFitting < 8 ? kFitting : 8;
  static constexpr index_t kWidth = kColumns * V::kLanes;
  // One row alone has too few chains of FMAs to hide their latency: several panels at once.
  static constexpr int kTogether = 4;

  // For every row below `count` and every panel: sums begin as start(row, panel, column) and end in
  // finish(row, panel, sums), sums being kColumns vectors. `panel_depth` is the depth of a whole panel.
  template <class Start, class Finish>
  static RNNFAST_INLINE void run(index_t count, const Operand<T>* operands, index_t operand_count,
                                 const T* packed, index_t panel_depth, index_t panels, Start&& start,
                                 Finish&& finish) {
    const index_t panel_size = panel_depth * kWidth;
    index_t panel = 0;
    if (count == 1) {
      for (; panel + kTogether <= panels; panel += kTogether) {
        one_row(operands, operand_count, packed + panel * panel_size, panel_size, panel, start, finish);
      }
    }
    for (; panel < panels; ++panel) {
      const T* const weights = packed + panel * panel_size;
      for_each_tile<kRows>(0, count, [&](auto tile_rows, index_t first) {
        constexpr int kTileRows = decltype(tile_rows)::value;
        V sum[kTileRows][kColumns];
        RNNFAST_UNROLL
        for (int r = 0; r < kTileRows; ++r) {
          RNNFAST_UNROLL
          for (int c = 0; c < kColumns; ++c) sum[r][c] = start(first + r, panel, c);
        }
        for (index_t k = 0; k < operand_count; ++k) {
          const T* rows[kTileRows];
          RNNFAST_UNROLL
          for (int r = 0; r < kTileRows; ++r) rows[r] = operands[k].rows[first + r];
          accumulate<kTileRows, 1, kColumns>(sum, rows, weights + operands[k].first * kWidth, 0,
                                             operands[k].depth);
        }
        RNNFAST_UNROLL
        for (int r = 0; r < kTileRows; ++r) finish(first + r, panel, sum[r]);
      });
    }
  }

 private:
  template <class Start, class Finish>
  static RNNFAST_INLINE void one_row(const Operand<T>* operands, index_t operand_count, const T* packed,
                                     index_t panel_size, index_t panel, Start&& start, Finish&& finish) {
    V sum[1][kTogether * kColumns];
    RNNFAST_UNROLL
    for (int c = 0; c < kTogether * kColumns; ++c) sum[0][c] = start(0, panel + c / kColumns, c % kColumns);
    for (index_t k = 0; k < operand_count; ++k) {
      const T* const rows[1] = {operands[k].rows[0]};
      accumulate<1, kTogether, kColumns>(sum, rows, packed + operands[k].first * kWidth, panel_size,
                                         operands[k].depth);
    }
    RNNFAST_UNROLL
    for (int p = 0; p < kTogether; ++p) {
      V own[kColumns];
      RNNFAST_UNROLL
      for (int c = 0; c < kColumns; ++c) own[c] = sum[0][p * kColumns + c];
      finish(0, panel + p, own);
    }
  }
};

// Packs panels of `width` lanes and `depth` steps: lane l of panel p at depth k is value(p, l, k).
template <class T, class Value>
void pack_panels(index_t panels, index_t width, index_t depth, T* packed, Value&& value) {
  for (index_t panel = 0; panel < panels; ++panel) {
    for (index_t lane = 0; lane < width; ++lane) {
      for (index_t k = 0; k < depth; ++k) packed[(panel * depth + k) * width + lane] = value(panel, lane, k);
    }
  }
}

// Gathered products with plain columns: panels of two vectors, and a last one of one where that is enough.
template <class T>
struct ColumnProduct {
  using V = Vec<T>;
  using Pair = GatheredProduct<T, 2>;
  using Single = GatheredProduct<T, 1>;
  static constexpr int kRows = Pair::kRows;

  // Columns in memory: whole vectors.
  static index_t padded(index_t columns) { return round_up(columns, V::kLanes); }
  static index_t size(index_t columns, index_t depth) { return padded(columns) * depth; }

  // Column c at depth k is value(c, k); zeros behind the last one.
  template <class Value>
  static void pack(index_t columns, index_t depth, T* packed, Value&& value) {
    const index_t pairs = padded(columns) / Pair::kWidth, first = pairs * Pair::kWidth;
    pack_panels(pairs, Pair::kWidth, depth, packed, [&](index_t panel, index_t lane, index_t k) {
      const index_t column = panel * Pair::kWidth + lane;
      return column < columns ? value(column, k) : T(0);
    });
    if (first < columns) {
      pack_panels(1, Single::kWidth, depth, packed + first * depth, [&](index_t, index_t lane, index_t k) {
        return first + lane < columns ? value(first + lane, k) : T(0);
      });
    }
  }

  // Sums begin as start(row, column) and end in finish(row, column, sum), a vector from `column` on each.
  template <class Start, class Finish>
  static RNNFAST_INLINE void run(index_t count, const Operand<T>* operands, index_t operand_count,
                                 const T* packed, index_t depth, index_t columns, Start&& start,
                                 Finish&& finish) {
    const index_t pairs = padded(columns) / Pair::kWidth, first = pairs * Pair::kWidth;
    Pair::run(
        count, operands, operand_count, packed, depth, pairs,
        [&](index_t row, index_t panel, int c)
            RNNFAST_INLINE_BODY { return start(row, panel * Pair::kWidth + c * V::kLanes); },
        [&](index_t row, index_t panel, const V* sums) RNNFAST_INLINE_BODY {
          finish(row, panel * Pair::kWidth, sums[0]);
          finish(row, panel * Pair::kWidth + V::kLanes, sums[1]);
        });
    if (first < columns) {
      Single::run(
          count, operands, operand_count, packed + first * depth, depth, 1,
          [&](index_t row, index_t, int) RNNFAST_INLINE_BODY { return start(row, first); },
          [&](index_t row, index_t, const V* sums) RNNFAST_INLINE_BODY { finish(row, first, sums[0]); });
    }
  }
};

}  // namespace rnnfast::RNNFAST_ISA
