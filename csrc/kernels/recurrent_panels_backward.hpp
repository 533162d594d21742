// The cell's gradient on all rows of a panel while their gradients of h lie in L1, two vectors in step: of
// one row, or in a last panel that is not full of two rows, or of as many as share two vectors.
#pragma once

#include "kernels/recurrent_cell_backward.hpp"

namespace rnnfast::RNNFAST_ISA {

// Of plain layers (CellBackward::plain).
template <class Cell, class T>
class PanelBackward {
  using V = Vec<T>;
  using Cells = CellBackward<Cell, T>;
  using Block = BackwardBlock<Cell, T>;

 public:
  RNNFAST_INLINE PanelBackward(const Cells& cell, index_t hidden) : cell_(cell), hidden_(hidden) {}

  // Units from `unit` on; sums: gradients of h, kDenseWidth of every row. one(r, unit, dh) takes a vector of
  // a row whose state ends there. False: nothing is done yet.
  template <class One>
  RNNFAST_INLINE bool act(const Block& block, index_t unit, const T* sums, One&& one) const {
    if (hidden_ - unit < kDenseWidth<T>) {
      if (!block.any_cut) act_on_last(block, unit, sums);
      return !block.any_cut;
    }
    for (index_t r = 0; r < block.count; ++r, sums += kDenseWidth<T>) {
      const Pair<T> dh = Pair<T>::load(sums, sums + V::kLanes);
      if (block.cut[r]) {
        one(r, unit, dh.a);
        one(r, unit + V::kLanes, dh.b);
      } else {
        cell_.act_two(block, VectorPlaces<T, 0, true>(r, unit, hidden_), dh);
      }
    }
    return true;
  }

 private:
  // Not inlined: alone it keeps its values in registers.
  [[gnu::noinline]] void act_on_last(const Block& block, index_t unit, const T* sums) const {
    const Cells cell = cell_;
    for (; unit < hidden_; unit += V::kLanes, sums += V::kLanes) {
      index_t r = 0;
      const auto in_places = [&](auto places_of, index_t rows) {
        for (; r + rows <= block.count; r += rows) {
          const auto places = places_of(r);
          cell.act_two(block, places, places.load_sums(sums + r * kDenseWidth<T>, kDenseWidth<T>));
        }
      };
      with_parts(parts_holding<T>(hidden_ - unit), [&](auto parts) {
        using Places = PartPlaces<T, decltype(parts)::value>;
        in_places([&](index_t first) { return Places(first, unit, hidden_); }, Places::kRows);
      });
      in_places([&](index_t first) { return VectorPlaces<T, 1>(first, unit, hidden_); }, 2);
      for (; r < block.count; ++r)
        cell.act(block, r, unit, hidden_ - unit, V::load(sums + r * kDenseWidth<T>));
    }
  }

  const Cells& cell_;
  const index_t hidden_;
};

}  // namespace rnnfast::RNNFAST_ISA
