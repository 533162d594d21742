// Products of rows with packed panels: the inner part of forward and backward steps, input sums, dx and
// linear layers.
//
// Up to kRowBlock rows pass one panel at a time. The depth is cut so that a block of the panel stays in L1,
// on AVX-512 in L2, while all tiles of rows use it; between blocks the sums rest in memory, which changes
// nothing in them. What happens to finished sums (a cell, a store) is the caller's, who finds them in L1.
#pragma once

#include <type_traits>

#include "base/arena.hpp"
#include "base/denormals.hpp"
#include "base/parallel.hpp"
#include "kernels/panels.hpp"
#include "math/half.hpp"
#include "math/pair.hpp"

namespace rnnfast::RNNFAST_ISA {

// One to three rows have too few chains of FMAs per panel to hide their latency of 4 cycles on 2 pipes: so
// many panels go together that 8 to 12 are under way.
constexpr index_t kFewRows = 3;
constexpr int panels_together(int rows, int columns) { return (8 + rows * columns - 1) / (rows * columns); }

constexpr index_t kRowBlock = 64;  // sums of 64 rows and one panel are 4 to 8 KB
// A panel block takes half of a 32 KB L1; the wide AVX-512 tile does more work per byte and streams from L2:
// the longer it stays on its sums, the less often they are loaded and stored.
constexpr index_t kPanelBlockBytes = kVectorBytes == 64 ? 128 << 10 : 16 << 10;

// Whether packed weights are so many, and rows enough, that they are fetched ahead, in one of two ways:
//   AVX-512 (kFetchedAhead): a tile fetches its own panel into L1. From half of an L2 of 2 MB on, through
//   which rows and tape pass as well. One row, which reads a panel as fast as L2 gives it, lost by it
//   else: a tile fetches its share of the next panel or block into L2, or the first tile would wait for all
//   of it. More weights than the caches of a core hold; with few rows there is no time to fetch anything in
constexpr int kFetchingRows = 4;  // fewest of an AVX-512 tile
constexpr index_t kFarBytes = kFetchedAhead > 0 ? 1 << 20 : 4 << 20;
constexpr index_t kFarRows = kFetchedAhead > 0 ? kFetchingRows : 32;
template <class T>
RNNFAST_INLINE bool is_far(index_t weights, index_t rows) {
  return rows >= kFarRows && weights * static_cast<index_t>(sizeof(T)) >= kFarBytes;
}
// Towards L2.
template <class T>
RNNFAST_INLINE void fetch_ahead(const T* from, const T* end) {
  for (; from < end; from += 64 / sizeof(T)) __builtin_prefetch(from, 0, 2);
}

// Rows at a fixed distance, or anywhere: given by a table of pointers.
template <class T>
struct Rows {
  T* data;
  index_t stride;
  T* const* table = nullptr;

  RNNFAST_INLINE T* at(index_t row) const { return table != nullptr ? table[row] : data + row * stride; }
};

// Runs of columns of a row that take part in a product: gates of a cell that lie side by side form one.
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

// Whether sums start from zero or go on from what their place holds (the gradients of a sequence whose steps
// come in several portions are still one chain each).
enum class Sums { kFresh, kContinued };
constexpr Sums kFresh = Sums::kFresh;

// Called before a tile of rows first … first + rows - 1 of a panel goes its last stretch of k: time to fetch
// what the sums will meet. Not a template's argument: the tiles' code is large, and there once.
struct BeforeTile {
  void (*call)(const void* context, index_t first, index_t rows) = nullptr;
  const void* context = nullptr;

  BeforeTile() = default;
  template <class Body>
  explicit BeforeTile(const Body& body)
      : call([](const void* own, index_t first, index_t rows) {
          (*static_cast<const Body*>(own))(first, rows);
        }),
        context(&body) {}
};

// Sums of one panel: row r begins at data + r * stride.
template <class T>
struct SumRows {
  T* data;
  index_t stride;
};

// Adds rows x panel to sums in memory. A panel has kVectors vectors, of which the first kColumns are used;
// column c adds to the sum at slot[c] vectors into a row of sums.
template <class T, int kColumns, int kVectors = kColumns>
struct PanelProduct {
  using V = Vec<T>;
  static constexpr int kFitting = kTileSums / kColumns;
  static constexpr int kRows = kFitting < 8 ? kFitting : 8;
  static constexpr index_t kDepthBlock = kPanelBlockBytes / (kVectors * static_cast<index_t>(sizeof(V)));

  static void run(index_t count, const T* const* rows, const Segments& segments, const T* panel,
                  SumRows<T> sums, const int* slot, bool far = false, const BeforeTile& before = {}) {
    for (int s = 0; s < segments.count; ++s) {
      const Segment& segment = segments.segment[s];
      for (index_t k = 0; k < segment.depth; k += kDepthBlock) {
        const index_t block = segment.depth - k < kDepthBlock ? segment.depth - k : kDepthBlock;
        const bool announced =
            before.call != nullptr && s + 1 == segments.count && k + block == segment.depth;
        const index_t size = block * kVectors * V::kLanes;
        for_each_tile<kRows>(0, count, [&](auto tile_rows, index_t first) {
          constexpr int kTileRows = decltype(tile_rows)::value;
          if (announced) before.call(before.context, first, kTileRows);
          const auto run_tile = [&](auto fetches) {
            tile<kTileRows, decltype(fetches)::value>(rows + first, segment.offset + k, panel, block,
                                                      {sums.data + first * sums.stride, sums.stride}, slot);
          };
          if constexpr (kFetchedAhead > 0 && kTileRows >= kFetchingRows) {
            if (far) return run_tile(std::true_type{});
          } else if (kFetchedAhead == 0 && far) {
            const T* const next = panel + size + size * first / count;
            fetch_ahead(next, next + size * kTileRows / count);
          }
          run_tile(std::false_type{});
        });
        panel += size;
      }
    }
  }

  // Of the last vector the first half alone.
  static void run_up_to_half(index_t count, const T* const* rows, const Segments& segments, const T* panel,
                             SumRows<T> sums, const int* slot) {
    for (int s = 0; s < segments.count; ++s) {
      const Segment& segment = segments.segment[s];
      for_each_tile<kRows>(0, count, [&](auto tile_rows, index_t first) {
        tile_up_to_half<decltype(tile_rows)::value>(rows + first, segment.offset, panel, segment.depth,
                                                    {sums.data + first * sums.stride, sums.stride}, slot);
      });
      panel += segment.depth * kVectors * V::kLanes;
    }
  }

  // A few rows and kPanels panels, panel_stride apart, whose depth is that of the segments. Sums of kColumns
  // vectors: of all rows for the first panel, then for the next one.
  template <int kFew, int kPanels>
  static void run_together(const T* const* rows, const Segments& segments, const T* panel,
                           index_t panel_stride, T* sums) {
    constexpr int kAll = kPanels * kColumns;
    const auto place = [sums](int r, int c) {
      return sums + ((c / kColumns * kFew + r) * kColumns + c % kColumns) * V::kLanes;
    };
    V sum[kFew][kAll];
    RNNFAST_UNROLL
    for (int r = 0; r < kFew; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kAll; ++c) sum[r][c] = V::load(place(r, c));
    }
    for (int s = 0; s < segments.count; ++s) {
      const T* at[kFew];
      RNNFAST_UNROLL
      for (int r = 0; r < kFew; ++r) at[r] = rows[r] + segments.segment[s].offset;
      accumulate<kFew, kPanels, kColumns>(sum, at, panel, panel_stride, segments.segment[s].depth);
      panel += segments.segment[s].depth * kColumns * V::kLanes;
    }
    RNNFAST_UNROLL
    for (int r = 0; r < kFew; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kAll; ++c) sum[r][c].store(place(r, c));
    }
  }

 private:
  template <int kTileRows, bool kFetches>
  static void tile(const T* const* rows, index_t offset, const T* panel, index_t depth, SumRows<T> sums,
                   const int* slot) {
    V sum[kTileRows][kColumns];
    const T* at[kTileRows];
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      at[r] = rows[r] + offset;
      RNNFAST_UNROLL
      for (int c = 0; c < kColumns; ++c)
        sum[r][c] = V::load(sums.data + r * sums.stride + slot[c] * V::kLanes);
    }
    accumulate<kTileRows, 1, kColumns, kVectors, kFetches>(sum, at, panel, 0, depth);
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kColumns; ++c) sum[r][c].store(sums.data + r * sums.stride + slot[c] * V::kLanes);
    }
  }

  template <int kTileRows>
  static void tile_up_to_half(const T* const* rows, index_t offset, const T* panel, index_t depth,
                              SumRows<T> sums, const int* slot) {
    constexpr int kWhole = kColumns - 1;
    V sum[kTileRows][kWhole];
    Half<T> half[kTileRows];
    const T* at[kTileRows];
    const auto place = [&](int r, int c) { return sums.data + r * sums.stride + slot[c] * V::kLanes; };
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      at[r] = rows[r] + offset;
      RNNFAST_UNROLL
      for (int c = 0; c < kWhole; ++c) sum[r][c] = V::load(place(r, c));
      half[r] = Half<T>::load(place(r, kWhole));
    }
    accumulate_and_half<kTileRows, kWhole>(sum, half, at, panel, depth);
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kWhole; ++c) sum[r][c].store(place(r, c));
      half[r].store(place(r, kWhole));
    }
  }
};

// Plain products: panels of kDenseVectors vectors.
constexpr int kDenseVectors = 2;
template <class T>
constexpr index_t kDenseWidth = kDenseVectors* Vec<T>::kLanes;
template <class T>
using DenseProduct = PanelProduct<T, kDenseVectors>;
constexpr int kDenseSlots[kDenseVectors] = {0, 1};

template <class T>
RNNFAST_INLINE index_t dense_size(index_t columns, index_t depth) {
  return round_up(columns, kDenseWidth<T>) * depth;
}

// Columns of the last panel that do not reach its second vector are a product of one vector per row.
template <class T>
using HalfDenseProduct = PanelProduct<T, 1, kDenseVectors>;
static_assert(kDenseVectors == 2);

// No finish that takes all rows of a panel at once.
struct OneByOne {
  template <class... Any>
  RNNFAST_INLINE bool operator()(Any...) const {
    return false;
  }
};
struct NothingToFetch {
  RNNFAST_INLINE void operator()(index_t, index_t) const {}
};

// finish(row, column, vector) for every vector of row x W, over 1 to kRowBlock rows. Row r's sums start
// from starts[r], which holds whole panels of columns. The sums of all rows of a panel, kDenseWidth of each,
// are offered to finish_panel(column, sums) first, which may decline by false. fetch(row, column) comes while
// the sums of a panel are under way. Columns from `begin`, where a panel begins.
template <class T, class Finish, class FinishPanel = OneByOne, class Fetch = NothingToFetch>
RNNFAST_INLINE void dense_rows(index_t count, const T* const* rows, index_t columns, const Segments& segments,
                               const T* packed, const T* const* starts, Finish&& finish,
                               FinishPanel&& finish_panel = {}, Fetch&& fetch = {}, index_t begin = 0) {
  using V = Vec<T>;
  constexpr index_t kWidth = kDenseWidth<T>;
  const index_t panel_size = segments.depth() * kWidth;
  const bool far = is_far<T>(columns * segments.depth(), count);
  const index_t most = count > kFewRows ? 1 : panels_together(static_cast<int>(count), kDenseVectors);
  alignas(64) T sums[kRowBlock * kWidth];
  static_assert(kFewRows * panels_together(1, kDenseVectors) <= kRowBlock);
  packed += begin / kWidth * panel_size;
  for (index_t column = begin; column < columns;) {
    const index_t left = ceil_div(columns - column, kWidth), panels = left < most ? left : most;
    for (index_t p = 0; p < panels; ++p) {
      for (index_t r = 0; r < count; ++r) {
        for (int c = 0; c < kDenseVectors; ++c) {
          V::load(starts[r] + column + p * kWidth + c * V::kLanes)
              .store(sums + (p * count + r) * kWidth + c * V::kLanes);
        }
      }
    }
    const auto fetch_rows = [&](index_t first, index_t some) {
      for (index_t p = 0; p < panels; ++p) {
        for (index_t r = first; r < first + some; ++r) fetch(r, column + p * kWidth);
      }
    };
    BeforeTile before;
    if constexpr (!std::is_same_v<std::decay_t<Fetch>, NothingToFetch>) before = BeforeTile(fetch_rows);
    if (count <= kFewRows) {
      fetch_rows(0, count);
      call_with_rows<kFewRows>(count, [&](auto few) {
        constexpr int kFew = decltype(few)::value;
        call_with_rows<panels_together(kFew, kDenseVectors)>(panels, [&](auto together) {
          DenseProduct<T>::template run_together<kFew, decltype(together)::value>(rows, segments, packed,
                                                                                  panel_size, sums);
        });
      });
    } else if (columns - column <= V::kLanes) {
      HalfDenseProduct<T>::run(count, rows, segments, packed, {sums, kWidth}, kDenseSlots, false, before);
    } else if (kHasHalves && 2 * (columns - column) <= 3 * V::kLanes) {
      fetch_rows(0, count);
      if constexpr (kHasHalves)
        DenseProduct<T>::run_up_to_half(count, rows, segments, packed, {sums, kWidth}, kDenseSlots);
    } else {
      DenseProduct<T>::run(count, rows, segments, packed, {sums, kWidth}, kDenseSlots, far, before);
    }
    for (index_t p = 0; p < panels; ++p) {
      const index_t first = column + p * kWidth;
      const T* const own = sums + p * count * kWidth;
      if (finish_panel(first, own)) continue;
      for (index_t r = 0; r < count; ++r) {
        for (int c = 0; c < kDenseVectors && first + c * V::kLanes < columns; ++c)
          finish(r, first + c * V::kLanes, V::load(own + r * kWidth + c * V::kLanes));
      }
    }
    column += panels * kWidth;
    packed += panels * panel_size;
  }
}

// out[row] = start + in[row] W for packed W; start [columns, padded to whole panels]. Threads share the rows.
template <class T>
void row_product(int threads, index_t count, index_t columns, const Segments& segments,
                 const Rows<const T>& in, const T* packed, const T* start, const Rows<T>& out) {
  const double operations =
      2.0 * static_cast<double>(count) * static_cast<double>(columns) * static_cast<double>(segments.depth());
  const int parts = parallel::worthwhile_parts(threads, operations, ceil_div(count, DenseProduct<T>::kRows));
  parallel::for_each_part(parts, [&](int part) {
    const FlushDenormals flush;
    const parallel::Range own = parallel::share(count, parts, part, DenseProduct<T>::kRows);
    // Rows of one block stay in L2 while all panels pass by.
    constexpr index_t kBlockBytes = 192 << 10;
    const index_t fitting = kBlockBytes / static_cast<index_t>(sizeof(T)) / (segments.depth() + 1);
    const index_t block = fitting > kRowBlock                    ? kRowBlock
                          : fitting < 4 * DenseProduct<T>::kRows ? 4 * DenseProduct<T>::kRows
                                                                 : fitting;
    const T* rows[kRowBlock];
    T* outputs[kRowBlock];
    const T* starts[kRowBlock];
    for (const T*& row : starts) row = start;
    for (index_t begin = own.begin; begin < own.end; begin += block) {
      const index_t present = own.end - begin < block ? own.end - begin : block;
      for (index_t r = 0; r < present; ++r) {
        rows[r] = in.at(begin + r);
        outputs[r] = out.at(begin + r);
      }
      dense_rows<T>(present, rows, columns, segments, packed, starts,
                    [&](index_t r, index_t column, Vec<T> sum) {
                      store_up_to(sum, outputs[r] + column, columns - column);
                    });
    }
  });
}

// Blocks of rows first … first + count - 1, shared by threads: body(first, count, part).
template <class Body>
RNNFAST_INLINE void for_each_block(int threads, index_t rows, double operations_per_row, index_t grain,
                                   Body&& body) {
  const int parts = parallel::worthwhile_parts(threads, operations_per_row * static_cast<double>(rows),
                                               ceil_div(rows, grain));
  parallel::for_each_part(parts, [&](int part) {
    const FlushDenormals flush;
    const parallel::Range own = parallel::share(rows, parts, part, grain);
    for (index_t first = own.begin; first < own.end; first += kRowBlock)
      body(first, own.end - first < kRowBlock ? own.end - first : kRowBlock, part);
  });
}

}  // namespace rnnfast::RNNFAST_ISA
