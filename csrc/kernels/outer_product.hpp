// Weight gradients: C[m, n] = sum over k of A_k[m] B_k[n], rows A_k and B_k over all T N rows, and column
// sums for biases.
//
// Blocks of both operands are packed: a sliver of B stays in L1 while the tiles of A pass by from L2. Sums
// rest in C between blocks of k, so every element remains one chain of FMAs in ascending k.
#pragma once

#include <cstring>

#include "kernels/product.hpp"

namespace rnnfast::RNNFAST_ISA {

// Whether sums start from zero or go on from what their place holds (the gradients of a sequence whose steps
// come in several portions are still one chain each).
enum class Sums { kFresh, kContinued };
constexpr Sums kFresh = Sums::kFresh;

// Rows whose columns are those of several operands side by side: the taps of a convolution.
template <class T>
struct GatheredRows {
  struct Part {
    const T* const* rows;
    index_t columns;
  };
  const Part* parts;

  // The operand that a column belongs to, its column there and how many of its columns follow.
  struct Place {
    const T* const* rows;
    index_t column, left;
    RNNFAST_INLINE const T* at(index_t row) const { return rows[row] + column; }
  };
  RNNFAST_INLINE Place find(index_t column) const {
    const Part* part = parts;
    for (; column >= part->columns; ++part) column -= part->columns;
    return {part->rows, column, part->columns - column};
  }
};

// C by two strides, of which one is 1.
template <class T>
class OuterProduct {
  using V = Vec<T>;
  static constexpr int kRows = DenseProduct<T>::kRows;
  static constexpr index_t kDepthBlock = DenseProduct<T>::kDepthBlock;  // a sliver of B is half of L1
  static constexpr index_t kRowBlock = 96;      // rows of C per block: 96 KB of packed A in float32
  static constexpr index_t kColumnBlock = 256;  // columns of C per block: 256 KB of packed B in float32

 public:
  static constexpr index_t kWidth = kDenseWidth<T>;

  static index_t workspace() {
    Arena<T> arena;
    lay_out(arena);
    return arena.used();
  }

  // a and b are Rows or GatheredRows.
  template <class A, class B>
  static void run(parallel::Range m_range, parallel::Range n_range, index_t depth, const A& a, const B& b,
                  T* c, index_t m_stride, index_t n_stride, T* workspace, Sums sums) {
    Arena<T> arena(workspace);
    const Buffers buffers = lay_out(arena);
    for (index_t n = n_range.begin; n < n_range.end; n += kColumnBlock) {
      const index_t columns = n_range.end - n < kColumnBlock ? n_range.end - n : kColumnBlock;
      index_t k = 0;
      do {  // once even for depth 0: the sums are zeros then
        const index_t block = depth - k < kDepthBlock ? depth - k : kDepthBlock;
        pack_columns(b, k, block, n, columns, buffers.b);
        for (index_t m = m_range.begin; m < m_range.end; m += kRowBlock) {
          const index_t end = m + kRowBlock < m_range.end ? m + kRowBlock : m_range.end;
          for_each_tile<kRows>(m, end, [&](auto tile_rows, index_t first) {
            pack_rows<decltype(tile_rows)::value>(a, k, block, first, buffers.a + (first - m) * block);
          });
          for (index_t column = 0; column < columns; column += kWidth) {
            for_each_tile<kRows>(m, end, [&](auto tile_rows, index_t first) {
              tile<decltype(tile_rows)::value>(buffers.a + (first - m) * block, buffers.b + column * block,
                                               block, sums == kFresh && k == 0,
                                               c + first * m_stride + (n + column) * n_stride, m_stride,
                                               n_stride, columns - column);
            });
          }
        }
        k += kDepthBlock;
      } while (k < depth);
    }
  }

 private:
  struct Buffers {
    T *a, *b;
  };
  static RNNFAST_INLINE Buffers lay_out(Arena<T>& arena) {
    T* a = arena.take(kDepthBlock * kRowBlock);
    T* b = arena.take(kDepthBlock * round_up(kColumnBlock, kWidth));
    return {a, b};
  }

  static void pack_columns(const Rows<const T>& b, index_t k, index_t block, index_t n, index_t columns,
                           T* packed) {
    for (index_t row = 0; row < block; ++row) {
      const T* from = b.at(k + row) + n;
      for (index_t first = 0; first < columns; first += kWidth) {
        T* to = packed + first * block + row * kWidth;
        for (int c = 0; c < kDenseVectors; ++c) {
          const index_t column = first + c * V::kLanes;
          (column < columns ? load_up_to(from + column, columns - column) : V::zero())
              .store(to + c * V::kLanes);
        }
      }
    }
  }

  static void pack_columns(const GatheredRows<T>& b, index_t k, index_t block, index_t n, index_t columns,
                           T* packed) {
    for (index_t first = 0; first < columns; first += kWidth) {
      for (int c = 0; c < kDenseVectors; ++c) {
        const index_t column = first + c * V::kLanes;
        T* to = packed + first * block + c * V::kLanes;
        if (column >= columns) {
          for (index_t row = 0; row < block; ++row) V::zero().store(to + row * kWidth);
          continue;
        }
        const index_t present = columns - column < V::kLanes ? columns - column : V::kLanes;
        const auto place = b.find(n + column);
        if (place.left >= present) {
          for (index_t row = 0; row < block; ++row)
            load_up_to(place.at(k + row), present).store(to + row * kWidth);
          continue;
        }
        // The vector takes from several operands.
        for (index_t lane = 0; lane < V::kLanes; ++lane) {
          if (lane < present) {
            const auto own = b.find(n + column + lane);
            for (index_t row = 0; row < block; ++row) to[row * kWidth + lane] = *own.at(k + row);
          } else {
            for (index_t row = 0; row < block; ++row) to[row * kWidth + lane] = T(0);
          }
        }
      }
    }
  }

  template <int kTileRows>
  static void pack_rows(const GatheredRows<T>& a, index_t k, index_t block, index_t m, T* packed) {
    for (int r = 0; r < kTileRows; ++r) {
      const auto place = a.find(m + r);
      for (index_t row = 0; row < block; ++row) packed[row * kTileRows + r] = *place.at(k + row);
    }
  }

  template <int kTileRows>
  static void pack_rows(const Rows<const T>& a, index_t k, index_t block, index_t m, T* packed) {
    for (index_t row = 0; row < block; ++row) {
      // Not element by element: compilers would have to expect that `packed` aliases the table of rows.
      std::memcpy(packed + row * kTileRows, a.at(k + row) + m, kTileRows * sizeof(T));
    }
  }

  template <int kTileRows>
  static void tile(const T* a, const T* b, index_t depth, bool fresh, T* target, index_t m_stride,
                   index_t n_stride, index_t columns) {
    V sum[kTileRows][kDenseVectors];
    const T* rows[kTileRows];
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      rows[r] = a + r;
      RNNFAST_UNROLL
      for (int c = 0; c < kDenseVectors; ++c) {
        sum[r][c] = fresh ? V::zero() : load_strided(target + r * m_stride, n_stride, c * V::kLanes, columns);
      }
    }
    accumulate<kTileRows, 1, kDenseVectors, kTileRows>(sum, rows, b, 0, depth);
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kDenseVectors; ++c) {
        store_strided(sum[r][c], target + r * m_stride, n_stride, c * V::kLanes, columns);
      }
    }
  }

  // One vector of a row of C, from column `first` of `columns`.
  static RNNFAST_INLINE V load_strided(const T* row, index_t stride, index_t first, index_t columns) {
    if (first >= columns) return V::zero();
    if (stride == 1) return load_up_to(row + first, columns - first);
    T lanes[V::kLanes] = {};
    for (index_t lane = 0; lane < V::kLanes && first + lane < columns; ++lane) {
      lanes[lane] = row[(first + lane) * stride];
    }
    return V::load(lanes);
  }

  static RNNFAST_INLINE void store_strided(V v, T* row, index_t stride, index_t first, index_t columns) {
    if (first >= columns) return;
    if (stride == 1) return store_up_to(v, row + first, columns - first);
    T lanes[V::kLanes];
    v.store(lanes);
    for (index_t lane = 0; lane < V::kLanes && first + lane < columns; ++lane) {
      row[(first + lane) * stride] = lanes[lane];
    }
  }
};

// dW[m, n] = sum over rows k of a_k[m] b_k[n], row-major [outputs, inputs]. Where the inputs would not fill a
// panel the product is formed transposed (inputs broadcast, outputs in vectors): the same chains, so the same
// bits. Threads share the outputs.
template <class T, class B = Rows<const T>>
void weight_gradient(int threads, index_t outputs, index_t inputs, index_t depth, const Rows<const T>& a,
                     const B& b, T* dweight, T* workspace, Sums sums) {
  using Product = OuterProduct<T>;
  const bool transposed = inputs < Product::kWidth && inputs < outputs;
  const index_t grain = transposed ? Product::kWidth : DenseProduct<T>::kRows;
  const double operations =
      2.0 * static_cast<double>(outputs) * static_cast<double>(inputs) * static_cast<double>(depth);
  const int parts = parallel::worthwhile_parts(threads, operations, ceil_div(outputs, grain));
  const index_t workspace_size = Product::workspace();
  parallel::for_each_part(parts, [&](int part) {
    const FlushDenormals flush;
    const parallel::Range own = parallel::share(outputs, parts, part, grain);
    T* memory = workspace + part * workspace_size;
    if (transposed) {
      Product::run({0, inputs}, own, depth, b, a, dweight, 1, inputs, memory, sums);
    } else {
      Product::run(own, {0, inputs}, depth, a, b, dweight, inputs, 1, memory, sums);
    }
  });
}

// target[c] = sum over k of row k [c], k ascending.
template <class T>
void column_sums(index_t columns, index_t depth, const Rows<const T>& rows, T* target, Sums sums) {
  using V = Vec<T>;
  constexpr int kTogether =
      8;  // a whole cache line or more of every row, and enough chains to hide the latency of addition
  index_t first = 0;
  for (; first + kTogether * V::kLanes <= columns; first += kTogether * V::kLanes) {
    V sum[kTogether];
    RNNFAST_UNROLL
    for (int c = 0; c < kTogether; ++c)
      sum[c] = sums == kFresh ? V::zero() : V::load(target + first + c * V::kLanes);
    for (index_t k = 0; k < depth; ++k) {
      const T* row = rows.at(k) + first;
      RNNFAST_UNROLL
      for (int c = 0; c < kTogether; ++c) sum[c] = sum[c] + V::load(row + c * V::kLanes);
    }
    RNNFAST_UNROLL
    for (int c = 0; c < kTogether; ++c) sum[c].store(target + first + c * V::kLanes);
  }
  for (; first < columns; first += V::kLanes) {
    V sum = sums == kFresh ? V::zero() : load_up_to(target + first, columns - first);
    for (index_t k = 0; k < depth; ++k) sum = sum + load_up_to(rows.at(k) + first, columns - first);
    store_up_to(sum, target + first, columns - first);
  }
}

}  // namespace rnnfast::RNNFAST_ISA
