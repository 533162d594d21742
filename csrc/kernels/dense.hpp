// Products over many rows that no recurrence ties together: row products X W (input sums, dx, linear layers) and outer products
// over rows A^T B (weight gradients). Blocks keep operands in cache; sums are stored between blocks and picked up again, so
// every output remains one chain of FMAs in ascending k.
#pragma once

#include "base/arena.hpp"
#include "base/denormals.hpp"
#include "base/parallel.hpp"
#include "math/panels.hpp"

namespace rnnfast::RNNFAST_ISA {

constexpr int kDenseVectors = 2;
constexpr int kDenseRows = kTileSums / kDenseVectors < 8 ? kTileSums / kDenseVectors : 8;
// With one row there are only kDenseVectors chains of FMAs per panel, too few to hide their latency: take panels together.
constexpr int kDensePanelsForOneRow = 4;

// Rows numbered major * minor_count + minor (time-major rows of a sequence [N, T, F]: major t, minor n), read from `data` by strides;
// the rows of one major number may lie elsewhere (h before the first step is the initial state).
template <class T>
struct Rows {
  T* data;
  index_t minor_count, major_stride, minor_stride;
  index_t other_major = -1, other_stride = 0;
  T* other = nullptr;

  RNNFAST_INLINE T* at(index_t row) const {
    const index_t major = row / minor_count, minor = row % minor_count;
    if (major == other_major) return other + minor * other_stride;
    return data + major * major_stride + minor * minor_stride;
  }
};

// Contiguous rows.
template <class T>
RNNFAST_INLINE Rows<T> plain_rows(T* data, index_t length) { return {data, 1, length, 0}; }

// A run of columns of a row that takes part in a product; gates of a cell that lie side by side form one.
struct Segment {
  index_t offset, depth;
};

struct Segments {
  int count;
  Segment segment[4];

  index_t depth() const {
    index_t sum = 0;
    for (int s = 0; s < count; ++s) sum += segment[s].depth;
    return sum;
  }
};

// One tile: starts from start(r, first_column) per vector, runs over all segments, ends in finish(r, first_column, vector).
template <class T, int kRows, int kPanels, class Start, class Finish>
RNNFAST_INLINE void dense_tile(const T* const (&rows)[kRows], const Segments& segments, const T* panel,
                               index_t panel_stride, index_t first_column, Start&& start, Finish&& finish) {
  constexpr int kSums = kPanels * kDenseVectors;
  Vec<T> sum[kRows][kSums];
  RNNFAST_UNROLL
  for (int r = 0; r < kRows; ++r) {
    RNNFAST_UNROLL
    for (int c = 0; c < kSums; ++c) sum[r][c] = start(r, first_column + c * Vec<T>::kLanes);
  }
  for (int s = 0; s < segments.count; ++s) {
    const T* at[kRows];
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) at[r] = rows[r] + segments.segment[s].offset;
    accumulate<kRows, kPanels, kDenseVectors, 1, Identity>(sum, at, panel, panel_stride, segments.segment[s].depth);
    panel += segments.segment[s].depth * panel_width<T, kDenseVectors>();
  }
  RNNFAST_UNROLL
  for (int r = 0; r < kRows; ++r) {
    RNNFAST_UNROLL
    for (int c = 0; c < kSums; ++c) finish(r, first_column + c * Vec<T>::kLanes, sum[r][c]);
  }
}

// body(Constant<panels>, first_panel, first_column) over all panels, several at a time where there is one row alone.
template <class T, int kVectors, int kTogether, class Body>
RNNFAST_INLINE void for_each_panel(index_t columns, bool one_row, Body&& body) {
  const index_t panels = ceil_div(columns, panel_width<T, kVectors>());
  index_t panel = 0;
  if (one_row) {
    for (; panel + kTogether <= panels; panel += kTogether) body(Constant<kTogether>{}, panel);
  }
  for (; panel < panels; ++panel) body(Constant<1>{}, panel);
}

// Rows [range) of a product with packed panels. row_at(r) is the r-th row of the left operand; start and finish take the row's
// number. Rows go in blocks that stay in cache while all panels pass by.
template <class T, class RowAt, class Start, class Finish>
void multiply_rows(parallel::Range range, index_t columns, const Segments& segments, const T* packed, RowAt&& row_at,
                   Start&& start, Finish&& finish) {
  const index_t depth = segments.depth();
  const index_t panel_stride = depth * panel_width<T, kDenseVectors>();
  constexpr index_t kBlockBytes = 192 << 10;  // well inside an L2 of 512 KB, beside the panel that passes by
  const index_t fitting = kBlockBytes / static_cast<index_t>(sizeof(T)) / (depth + 1);
  const index_t block = fitting < 4 * kDenseRows ? 4 * kDenseRows : fitting;
  for (index_t begin = range.begin; begin < range.end; begin += block) {
    const index_t end = begin + block < range.end ? begin + block : range.end;
    const auto tile = [&](auto tile_rows, auto tile_panels, index_t panel, index_t first) {
      constexpr int kRows = decltype(tile_rows)::value;
      const T* rows[kRows];
      for (int r = 0; r < kRows; ++r) rows[r] = row_at(first + r);
      dense_tile<T, kRows, decltype(tile_panels)::value>(
          rows, segments, packed + panel * panel_stride, panel_stride, panel * panel_width<T, kDenseVectors>(),
          [&](int r, index_t column) { return start(first + r, column); },
          [&](int r, index_t column, Vec<T> sum) { finish(first + r, column, sum); });
    };
    if (end - begin == 1) {
      for_each_panel<T, kDenseVectors, kDensePanelsForOneRow>(
          columns, true, [&](auto panels, index_t panel) { tile(Constant<1>{}, panels, panel, begin); });
    } else {
      for_each_panel<T, kDenseVectors, 1>(columns, false, [&](auto panels, index_t panel) {
        for_each_tile<kDenseRows>(begin, end, [&](auto rows, index_t first) { tile(rows, panels, panel, first); });
      });
    }
  }
}

// out[row] = start + in[row] W for packed W; start [columns] or null for zeros. Threads share the rows.
template <class T>
void row_product(int threads, index_t rows, index_t columns, const Segments& segments, const Rows<const T>& in, const T* packed,
                 const T* start, const Rows<T>& out) {
  using V = Vec<T>;
  const double operations = 2.0 * static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(segments.depth());
  const int parts = parallel::worthwhile_parts(threads, operations, ceil_div(rows, kDenseRows));
  parallel::for_each_part(parts, [&](int part) {
    const FlushDenormals flush;
    multiply_rows(
        parallel::share(rows, parts, part, kDenseRows), columns, segments, packed, [&](index_t row) { return in.at(row); },
        [&](index_t, index_t column) {
          return start == nullptr || column >= columns ? V::zero() : load_up_to(start + column, columns - column);
        },
        [&](index_t row, index_t column, V sum) {
          if (column < columns) store_up_to(sum, out.at(row) + column, columns - column);
        });
  });
}

// C[m, n] = sum over k of A_k[m] B_k[n], C by two strides, one of which is 1.
// A tile holds rows m and vectors of n.
template <class T>
struct OuterProduct {
  static constexpr index_t kDepthBlock = 256;  // rows of A and B per block: a packed tile of A is 6 KB, in L1
  static constexpr index_t kColumnBlock = 256;  // columns of B per block: 256 KB packed, in L2
  static constexpr index_t kWidth = kDenseVectors * Vec<T>::kLanes;

  static index_t workspace() {
    Arena<T> arena;
    lay_out(arena);
    return arena.used();
  }

  struct Buffers {
    T *a, *b;
  };
  static RNNFAST_INLINE Buffers lay_out(Arena<T>& arena) {
    T* a = arena.take(kDepthBlock * kDenseRows);
    T* b = arena.take(kDepthBlock * round_up(kColumnBlock, kWidth));
    return {a, b};
  }

  static void run(parallel::Range m_range, parallel::Range n_range, index_t depth, const Rows<const T>& row_a,
                  const Rows<const T>& row_b, T* c,
                  index_t m_stride, index_t n_stride, T* workspace) {
    Arena<T> arena(workspace);
    const Buffers buffers = lay_out(arena);
    for (index_t n = n_range.begin; n < n_range.end; n += kColumnBlock) {
      const index_t columns = n_range.end - n < kColumnBlock ? n_range.end - n : kColumnBlock;
      index_t k = 0;
      do {  // once even for depth 0: the sums are zeros then
        const index_t block = depth - k < kDepthBlock ? depth - k : kDepthBlock;
        pack_b(row_b, k, block, n, columns, buffers.b);
        for_each_tile<kDenseRows>(m_range.begin, m_range.end, [&](auto tile_rows, index_t m) {
          constexpr int kRows = decltype(tile_rows)::value;
          for (index_t row = 0; row < block; ++row) {
            const T* from = row_a.at(k + row) + m;
            for (int r = 0; r < kRows; ++r) buffers.a[row * kRows + r] = from[r];
          }
          for (index_t first = 0; first < columns; first += kWidth) {
            T* target = c + m * m_stride + (n + first) * n_stride;
            tile<kRows>(buffers.a, buffers.b + first * block, block, k == 0, target, m_stride, n_stride, columns - first);
          }
        });
        k += kDepthBlock;
      } while (k < depth);
    }
  }

 private:
  static void pack_b(const Rows<const T>& row_b, index_t k, index_t block, index_t n, index_t columns, T* packed) {
    for (index_t row = 0; row < block; ++row) {
      const T* from = row_b.at(k + row) + n;
      for (index_t first = 0; first < columns; first += kWidth) {
        T* to = packed + first * block + row * kWidth;
        for (int c = 0; c < kDenseVectors; ++c) {
          const index_t column = first + c * Vec<T>::kLanes;
          (column < columns ? load_up_to(from + column, columns - column) : Vec<T>::zero()).store(to + c * Vec<T>::kLanes);
        }
      }
    }
  }

  template <int kRows>
  static void tile(const T* a, const T* b, index_t depth, bool fresh, T* target, index_t m_stride, index_t n_stride,
                   index_t columns) {
    using V = Vec<T>;
    V sum[kRows][kDenseVectors];
    const T* rows[kRows];
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) {
      rows[r] = a + r;
      RNNFAST_UNROLL
      for (int c = 0; c < kDenseVectors; ++c) {
        sum[r][c] = fresh ? V::zero() : load_strided(target + r * m_stride + c * V::kLanes * n_stride, n_stride, columns - c * V::kLanes);
      }
    }
    accumulate<kRows, 1, kDenseVectors, kRows, Identity>(sum, rows, b, 0, depth);
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kDenseVectors; ++c) {
        store_strided(sum[r][c], target + r * m_stride + c * V::kLanes * n_stride, n_stride, columns - c * V::kLanes);
      }
    }
  }

  static RNNFAST_INLINE Vec<T> load_strided(const T* from, index_t stride, index_t count) {
    if (count <= 0) return Vec<T>::zero();
    const index_t present = count < Vec<T>::kLanes ? count : Vec<T>::kLanes;
    if (stride == 1) return load_first(from, present);
    T lanes[Vec<T>::kLanes] = {};
    for (index_t lane = 0; lane < present; ++lane) lanes[lane] = from[lane * stride];
    return Vec<T>::load(lanes);
  }

  static RNNFAST_INLINE void store_strided(Vec<T> v, T* to, index_t stride, index_t count) {
    if (count <= 0) return;
    const index_t present = count < Vec<T>::kLanes ? count : Vec<T>::kLanes;
    if (stride == 1) return store_first(v, to, present);
    T lanes[Vec<T>::kLanes];
    v.store(lanes);
    for (index_t lane = 0; lane < present; ++lane) to[lane * stride] = lanes[lane];
  }
};

// dW[m, n] = sum over rows k of a_k[m] b_k[n], row-major [outputs, inputs]. Where the inputs would not fill a panel the product
// is formed transposed (x broadcast, gates in vectors): the same chains, so the same bits.
template <class T>
void weight_gradient(int threads, index_t outputs, index_t inputs, index_t depth, const Rows<const T>& row_a,
                     const Rows<const T>& row_b, T* dweight, T* workspace) {
  using Product = OuterProduct<T>;
  const bool transposed = inputs < Product::kWidth && inputs < outputs;
  const index_t split = outputs;  // threads share the outputs (gates), whichever way the product lies
  const index_t grain = transposed ? Product::kWidth : kDenseRows;
  const double operations = 2.0 * static_cast<double>(outputs) * static_cast<double>(inputs) * static_cast<double>(depth);
  const int parts = parallel::worthwhile_parts(threads, operations, ceil_div(split, grain));
  const index_t workspace_size = Product::workspace();
  parallel::for_each_part(parts, [&](int part) {
    const FlushDenormals flush;
    const parallel::Range own = parallel::share(split, parts, part, grain);
    T* memory = workspace + part * workspace_size;
    if (transposed) {
      Product::run({0, inputs}, own, depth, row_b, row_a, dweight, 1, inputs, memory);
    } else {
      Product::run(own, {0, inputs}, depth, row_a, row_b, dweight, inputs, 1, memory);
    }
  });
}

// sums[c] = sum over k of row k [c], k ascending.
template <class T>
void column_sums(index_t columns, index_t depth, const Rows<const T>& rows, T* sums) {
  using V = Vec<T>;
  constexpr int kTogether = 4;
  index_t first = 0;
  for (; first + kTogether * V::kLanes <= columns; first += kTogether * V::kLanes) {
    V sum[kTogether];
    RNNFAST_UNROLL
    for (int c = 0; c < kTogether; ++c) sum[c] = V::zero();
    for (index_t k = 0; k < depth; ++k) {
      const T* row = rows.at(k) + first;
      RNNFAST_UNROLL
      for (int c = 0; c < kTogether; ++c) sum[c] = sum[c] + V::load(row + c * V::kLanes);
    }
    RNNFAST_UNROLL
    for (int c = 0; c < kTogether; ++c) sum[c].store(sums + first + c * V::kLanes);
  }
  for (; first < columns; first += V::kLanes) {
    const index_t present = columns - first < V::kLanes ? columns - first : V::kLanes;
    V sum = V::zero();
    for (index_t k = 0; k < depth; ++k) sum = sum + load_first(rows.at(k) + first, present);
    store_first(sum, sums + first, present);
  }
}

}  // namespace rnnfast::RNNFAST_ISA
