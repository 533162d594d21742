// Products over rows as in outer_product.hpp for few sums, with both operands read where they lie: to pack a
// row costs a load and a store of all of it, and here it passes by a few tiles only.
//
// Outputs fill the vectors, inputs are broadcast. Sums lie transposed, in memory of their own that stays in a
// cache until all rows have passed; each goes on as one chain of FMAs in ascending k.
#pragma once

#include "kernels/gathered_rows.hpp"

namespace rnnfast::RNNFAST_ISA {

// sums[m][n] += b_k[inputs.begin + m] a_k[outputs.begin + n] for one row k of `depth` after the other. The
// sums of an input have room for whole vectors: stride(outputs).
template <class T>
class NarrowOuterProduct {
  using V = Vec<T>;
  static constexpr int kRows = DenseProduct<T>::kRows;

 public:
  static RNNFAST_INLINE index_t stride(index_t outputs) { return round_up(outputs, V::kLanes); }

  // b: Rows or GatheredRows. Its rows of `depth` pass by once for every panel of outputs.
  template <class B>
  static void add(parallel::Range outputs, parallel::Range inputs, parallel::Range depth,
                  const Rows<const T>& a, const B& b, T* sums) {
    const index_t row = stride(outputs.end - outputs.begin);
    for (index_t n = outputs.begin; n < outputs.end; n += kDenseWidth<T>, sums += kDenseWidth<T>) {
      for (index_t m = inputs.begin; m < inputs.end;) {
        const OperandColumns<T> place = columns_from<T>(b, m);
        const index_t left = inputs.end - m, present = left < place.left ? left : place.left;
        T* const own = sums + (m - inputs.begin) * row;
        for_each_tile<kRows>(0, present, [&](auto tile_rows, index_t first) {
          any_tile<decltype(tile_rows)::value>(
              {a, n, outputs.end - n, place.rows, place.column + first, depth, own + first * row, row});
        });
        m += present;
      }
    }
  }

 private:
  // Outputs from a column of a on, of which `left` are there, by inputs from a column of b on.
  struct Tile {
    const Rows<const T>& a;
    index_t output, left;
    const Rows<const T>& b;
    index_t input;
    parallel::Range depth;
    T* sums;
    index_t stride;
  };

  template <int kTileRows>
  [[gnu::noinline]] static void any_tile(const Tile& own) {
    if (own.left >= kDenseWidth<T>) {
      tile<kTileRows, kDenseVectors, true>(own);
    } else if (own.left > V::kLanes) {
      tile<kTileRows, kDenseVectors, false>(own);
    } else if (own.left == V::kLanes) {
      tile<kTileRows, 1, true>(own);
    } else {
      tile<kTileRows, 1, false>(own);
    }
  }

  template <int kTileRows, int kVectors, bool kWhole>
  static RNNFAST_INLINE void tile(const Tile& own) {
    const index_t of_last = own.left - (kVectors - 1) * V::kLanes;
    V sum[kTileRows][kVectors];
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kVectors; ++c) sum[r][c] = V::load(own.sums + r * own.stride + c * V::kLanes);
    }
    for (index_t k = own.depth.begin; k < own.depth.end; ++k) {
      const T *const outputs = own.a.at(k) + own.output, *const inputs = own.b.at(k) + own.input;
      V output[kVectors];
      RNNFAST_UNROLL
      for (int c = 0; c < kVectors; ++c) {
        output[c] = kWhole || c + 1 < kVectors ? V::load(outputs + c * V::kLanes)
                                               : load_first(outputs + c * V::kLanes, of_last);
      }
      RNNFAST_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        const V input = V::broadcast(inputs[r]);
        RNNFAST_UNROLL
        for (int c = 0; c < kVectors; ++c) sum[r][c] = fma(input, output[c], sum[r][c]);
      }
    }
    RNNFAST_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      RNNFAST_UNROLL
      for (int c = 0; c < kVectors; ++c) sum[r][c].store(own.sums + r * own.stride + c * V::kLanes);
    }
  }
};

}  // namespace rnnfast::RNNFAST_ISA
