// Weight gradients: C[m, n] = sum over k of A_k[m] B_k[n], rows A_k and B_k over all T N rows.
//
// Blocks of both operands are packed: a sliver of B stays in L1 (AVX-512: streams from L2) while the tiles
// of A pass by from L2, and the next block of A is fetched meanwhile. Sums rest in C between blocks of k, so
// every element remains one chain of FMAs in ascending k.
#pragma once

#include <cstring>

#include "kernels/gathered_rows.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
class OuterProduct {
  using V = Vec<T>;
  static constexpr int kRows = DenseProduct<T>::kRows;
  static constexpr index_t kPanelDepth = DenseProduct<T>::kDepthBlock;
  static constexpr index_t kFarDepth = kPanelDepth < 1024 ? 1024 : kPanelDepth;
  // Rows and columns of C per block: 512 deep (AVX-512, floats) a packed block of A is 96 KB, one of B 1 MB
  // at most, 1024 deep twice as much. Few rows and many columns, as packing a row for broadcasts costs most.
  static constexpr index_t kRowBlock = 48;
  static_assert(kRowBlock % kRows == 0);
  static constexpr index_t kColumnBlock = 2048 / static_cast<index_t>(sizeof(T));
  // Up to so many columns rows of A are read where they lie: to pack them costs more than they are used.
  static constexpr index_t kColumnsInPlace = 4 * kDenseWidth<T>;
  static constexpr index_t kStrideInPlace = 2048 / static_cast<index_t>(sizeof(T));
  // Slivers lie a cache line further apart than their size, a power of two: else they shared their sets.
  static constexpr index_t kSpread = 64 / static_cast<index_t>(sizeof(T));

 public:
  static constexpr index_t kWidth = kDenseWidth<T>;
  using Run = ColumnRun<T>;

  // How deep blocks are at most. Between two blocks sums are put down: those that no cache of a core holds
  // half as often, or less. Near ones gain nothing by it that twice the tape in a stretch would not cost.
  static constexpr index_t kNearDepth = kVectorBytes == 64 ? kPanelDepth / 2 : kPanelDepth;
  static constexpr index_t depth_block(index_t sums) {
    constexpr index_t kNearBytes = 4 << 20;
    return sums * static_cast<index_t>(sizeof(T)) < kNearBytes ? kNearDepth : kFarDepth;
  }
  // Rows of the operands, in blocks that are so deep at most, and no deeper than the workspace has room for.
  struct Depth {
    index_t rows, block;
  };

  static index_t workspace() {
    Arena<T> arena;
    lay_out(arena);
    return arena.used();
  }

  // b: Rows or GatheredRows.
  template <class B>
  static void run(parallel::Range m_range, parallel::Range n_range, Depth depth, const Rows<const T>& a,
                  const B& b, const Run* runs, T* workspace, Sums sums, bool last) {
    Arena<T> arena(workspace);
    const Buffers buffers = lay_out(arena);
    for (index_t n = n_range.begin; n < n_range.end; n += kColumnBlock) {
      const index_t columns = n_range.end - n < kColumnBlock ? n_range.end - n : kColumnBlock;
      index_t k = 0;
      do {  // once even for depth 0: the sums are zeros then
        const index_t block = depth.rows - k < depth.block ? depth.rows - k : depth.block;
        pack_columns(b, k, block, n, columns, buffers.b);
        for (index_t m = m_range.begin; m < m_range.end; m += kRowBlock) {
          const Tiles tiles(m, m + kRowBlock < m_range.end ? m + kRowBlock : m_range.end, block);
          const T* in_place = nullptr;  // where few columns would pass by a packed block of A
          index_t step = 0;
          if (a.table == nullptr && columns <= kColumnsInPlace && a.stride <= kStrideInPlace) {
            in_place = a.at(k);
            step = a.stride;
          }
          if (in_place == nullptr) pack_rows(a, k, block, tiles, buffers.a);
          const bool across = tiles.end < m_range.end;
          const index_t next_k = across ? k : k + block, next_m = across ? tiles.end : m_range.begin;
          const index_t left_k = depth.rows - next_k;
          const parallel::Range next{next_k, next_k + (left_k < depth.block ? left_k : depth.block)};
          Prefetch prefetch(a, next, next_m, m_range.end, ceil_div(columns, kWidth) * tiles.count());
          const bool fresh = sums == kFresh && k == 0, complete = last && k + block == depth.rows;
          for (index_t column = 0; column < columns; column += kWidth) {
            const T* const panel = buffers.b + column / kWidth * stride(kWidth, block);
            const index_t left = columns - column;
            const T* packed = buffers.a;
            tiles.each([&](index_t rows, index_t first) {
              prefetch.some();
              Tile tile{packed, rows, panel, block, fresh, complete, runs, first, n + column, left};
              if (in_place != nullptr) {
                tile.a = in_place + first;
                tile.a_step = step;
              }
              any_tile(rows, tile);
              packed += stride(rows, block);
            });
          }
        }
        k += block;
      } while (k < depth.rows);
    }
  }

 private:
  struct Buffers {
    T *a, *b;
  };
  static RNNFAST_INLINE Buffers lay_out(Arena<T>& arena) {
    T* a = arena.take(kRowBlock * stride(1, kFarDepth));
    T* b = arena.take(ceil_div(kColumnBlock, kWidth) * stride(kWidth, kFarDepth));
    return {a, b};
  }
  // From a sliver of `width` values per k to the next one.
  static RNNFAST_INLINE index_t stride(index_t width, index_t depth) { return width * depth + kSpread; }

  // Rows begin … end - 1 of C as tiles: whole ones, then what is left.
  struct Tiles {
    index_t begin, end, depth;

    RNNFAST_INLINE Tiles(index_t first, index_t last, index_t block)
        : begin(first), end(last), depth(block) {}
    RNNFAST_INLINE index_t count() const { return ceil_div(end - begin, kRows); }
    // body(rows, first)
    template <class Body>
    RNNFAST_INLINE void each(Body&& body) const {
      for (index_t first = begin; first < end; first += kRows)
        body(end - first < kRows ? end - first : kRows, first);
    }
  };

  // The next block of A, some rows with every tile of this one: its rows lie too far apart for the hardware
  // to foresee them.
  class Prefetch {
   public:
    RNNFAST_INLINE Prefetch(const Rows<const T>& a, parallel::Range rows, index_t m, index_t end,
                            index_t tiles)
        : a_(a),
          row_(rows.begin),
          end_(rows.end),
          per_tile_(tiles > 0 ? ceil_div(rows.end - rows.begin, tiles) : 0),
          first_(m),
          last_(m + kRowBlock < end ? m + kRowBlock : end) {}
    RNNFAST_INLINE void some() {
      for (index_t i = 0; i < per_tile_ && row_ < end_; ++i, ++row_) {
        const T* const row = a_.at(row_);
        for (index_t m = first_; m < last_; m += kSpread) __builtin_prefetch(row + m, 0, 2);
      }
    }

   private:
    const Rows<const T>& a_;
    index_t row_, end_, per_tile_, first_, last_;
  };

  // How many vectors of a panel at `left` columns before the end are used.
  static RNNFAST_INLINE int vectors(index_t left) { return left > V::kLanes ? kDenseVectors : 1; }

  // So many rows of a whole panel are packed before those of the next one: of one row at a time stores go to
  // too many places, of eight a WaveNet stack's, whose rows lie close together, took longer.
  static constexpr index_t kPackedTogether = 4;

  // b: Rows or GatheredRows.
  template <class B>
  static void pack_columns(const B& b, index_t k, index_t block, index_t n, index_t columns, T* packed) {
    struct Whole {
      OperandColumns<T> from;
      T* to;
    };
    Whole wholes[kColumnBlock / kWidth];
    index_t count = 0;
    for (index_t first = 0; first < columns; first += kWidth, packed += stride(kWidth, block)) {
      const OperandColumns<T> from = columns_from<T>(b, n + first);
      if (columns - first >= kWidth && from.left >= kWidth) {
        wholes[count++] = {from, packed};
        continue;
      }
      const int used = vectors(columns - first);
      for (int c = 0; c < used; ++c) {
        const index_t column = first + c * V::kLanes;
        pack_vector(b, k, block, n + column, columns - column, packed + c * V::kLanes, used * V::kLanes);
      }
    }
    for (index_t row = 0; row < block; row += kPackedTogether) {
      const index_t end = block - row < kPackedTogether ? block : row + kPackedTogether;
      for (index_t w = 0; w < count; ++w) {
        const Whole& whole = wholes[w];
        for (index_t r = row; r < end; ++r) {
          const T *const from = whole.from.at(k + r), *const next = whole.from.at(k + fetched(r, block));
          RNNFAST_UNROLL
          for (int c = 0; c < kDenseVectors; ++c) {
            __builtin_prefetch(next + c * V::kLanes);
            V::load(from + c * V::kLanes).store(whole.to + r * kWidth + c * V::kLanes);
          }
        }
      }
    }
  }

  // The row that is fetched while `row` is packed.
  static RNNFAST_INLINE index_t fetched(index_t row, index_t block) {
    return row + kPackedTogether < block ? row + kPackedTogether : row;
  }

  // A vector of columns, of which `left` > 0 are there, in one operand or several.
  template <class B>
  static void pack_vector(const B& b, index_t k, index_t block, index_t column, index_t left, T* to,
                          index_t width) {
    const index_t present = left < V::kLanes ? left : V::kLanes;
    if (const OperandColumns<T> from = columns_from<T>(b, column); from.left >= present) {
      for (index_t row = 0; row < block; ++row) {
        __builtin_prefetch(from.at(k + fetched(row, block)));
        load_up_to(from.at(k + row), present).store(to + row * width);
      }
      return;
    }
    for (index_t lane = 0; lane < V::kLanes; ++lane) {
      const OperandColumns<T> from = columns_from<T>(b, column + (lane < present ? lane : 0));
      for (index_t row = 0; row < block; ++row)
        to[row * width + lane] = lane < present ? *from.at(k + row) : T(0);
    }
  }

  static void pack_rows(const Rows<const T>& a, index_t k, index_t block, const Tiles& tiles, T* packed) {
    const bool whole = tiles.end - tiles.begin == kRowBlock;
    for (index_t row = 0; row < block; ++row) {
      const T* const from = a.at(k + row) + tiles.begin;
      T* to = packed + row * kRows;
      // Not element by element: compilers would have to expect that `packed` aliases the table of rows.
      if (whole) {
        RNNFAST_UNROLL
        for (int tile = 0; tile < kRowBlock / kRows; ++tile, to += stride(kRows, block))
          std::memcpy(to, from + tile * kRows, kRows * sizeof(T));
        continue;
      }
      to = packed;
      tiles.each([&](index_t rows, index_t first) {
        std::memcpy(to + row * rows, from + (first - tiles.begin),
                    static_cast<std::size_t>(rows) * sizeof(T));
        to += stride(rows, block);
      });
    }
  }

  // Rows first … of C and the columns of one panel from `column` on, of which `left` are there. Values of A
  // for these rows lie side by side, a_step further for the next k.
  struct Tile {
    const T* a;
    index_t a_step;
    const T* b;
    index_t depth;
    bool fresh, complete;
    const Run* runs;
    index_t first, column, left;
  };
  // A function of its own: it is called for thousands of products, and large.
  [[gnu::noinline]] static void any_tile(index_t rows, const Tile& own) {
    call_with_rows<kRows>(rows, [&](auto tile_rows) {
      constexpr int kTileRows = decltype(tile_rows)::value;
      if (own.left > V::kLanes) {
        tile<kTileRows, kDenseVectors>(own);
      } else {
        tile<kTileRows, 1>(own);
      }
    });
  }

  template <int kTileRows, int kVectors>
  static void tile(const Tile& own) {
    const Run* const runs = own.runs;
    const index_t first = own.first, column = own.column, left = own.left;
    V sum[kTileRows][kVectors];
    typename Run::Place place[kVectors];
    index_t present[kVectors];
    RNNFAST_UNROLL
    for (int c = 0; c < kVectors; ++c) {
      place[c] = Run::find(runs, column + c * V::kLanes);
      place[c].data += first * place[c].stride;
      if (place[c].target != nullptr) place[c].target += first * place[c].stride;
      present[c] = left - c * V::kLanes < V::kLanes ? left - c * V::kLanes : V::kLanes;
    }
    const auto in_one_run = [&](int c) { return place[c].left >= present[c]; };
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kVectors; ++c) {
        sum[r][c] = own.fresh       ? V::zero()
                    : in_one_run(c) ? load_up_to(place[c].data + r * place[c].stride, present[c])
                                    : load_lanes(runs, first + r, column + c * V::kLanes, present[c]);
      }
    }
    if (kVectors == kDenseVectors && left > kWidth) {
      const auto next = Run::find(runs, column + kWidth);
      if (!own.fresh) fetch_sums(next.data, next, first, kTileRows);
      if (own.complete && next.target != nullptr) fetch_sums(next.target, next, first, kTileRows);
    }
    accumulate_outer<kTileRows, kVectors>(sum, own.a, own.a_step, own.b, own.depth);
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kVectors; ++c) {
        if (!in_one_run(c)) {
          store_lanes(sum[r][c], runs, first + r, column + c * V::kLanes, present[c], own.complete);
        } else if (own.complete && place[c].target != nullptr) {
          T* const target = place[c].target + r * place[c].stride;
          store_up_to(load_up_to(target, present[c]) + sum[r][c], target, present[c]);
        } else {
          store_up_to(sum[r][c], place[c].data + r * place[c].stride, present[c]);
        }
      }
    }
  }

  // Sums of the next panel that the same rows go on from, or are added to. The last value of a line's worth:
  // they begin anywhere within a line.
  static RNNFAST_INLINE void fetch_sums(const T* data, const typename Run::Place& next, index_t first,
                                        index_t rows) {
    const index_t end = next.left < kWidth ? next.left : kWidth;
    for (index_t row = first; row < first + rows; ++row) {
      const T* const sums = data + row * next.stride - 1;
      for (index_t line = kSpread; line < end; line += kSpread) __builtin_prefetch(sums + line, 1, 2);
      __builtin_prefetch(sums + end, 1, 2);
    }
  }

  // A vector of a row of C that lies in several runs.
  static V load_lanes(const Run* runs, index_t row, index_t column, index_t present) {
    T lanes[V::kLanes] = {};
    for (index_t lane = 0; lane < present; ++lane) {
      const auto place = Run::find(runs, column + lane);
      lanes[lane] = place.data[row * place.stride];
    }
    return V::load(lanes);
  }
  static void store_lanes(V v, const Run* runs, index_t row, index_t column, index_t present, bool complete) {
    T lanes[V::kLanes];
    v.store(lanes);
    for (index_t lane = 0; lane < present; ++lane) {
      const auto place = Run::find(runs, column + lane);
      if (complete && place.target != nullptr) {
        place.target[row * place.stride] += lanes[lane];
      } else {
        place.data[row * place.stride] = lanes[lane];
      }
    }
  }
};

}  // namespace rnnfast::RNNFAST_ISA
