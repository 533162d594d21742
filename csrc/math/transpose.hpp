// Transposition of a matrix.
#pragma once

#include "math/vec.hpp"

namespace rnnfast::RNNFAST_ISA {

// Four values, whatever the width of a register: compilers make them of what there is.
template <class T>
struct Four {
  typedef T Native __attribute__((vector_size(4 * sizeof(T))));
  typedef typename Lane<T>::Bits Bits __attribute__((vector_size(4 * sizeof(T))));
  Native native;

  static RNNFAST_INLINE Four load(const T* from) {
    Four values;
    std::memcpy(&values.native, from, sizeof values.native);
    return values;
  }
  RNNFAST_INLINE void store(T* to) const { std::memcpy(to, &native, sizeof native); }
};

// Values of a (0 … 3) and b (4 … 7) by their numbers.
template <int... kPlaces, class T>
RNNFAST_INLINE Four<T> chosen(Four<T> a, Four<T> b) {
#if defined(__clang__)
  return {__builtin_shufflevector(a.native, b.native, kPlaces...)};
#else
  return {__builtin_shuffle(a.native, b.native, typename Four<T>::Bits{kPlaces...})};
#endif
}

// Four rows and four columns.
template <class T>
RNNFAST_INLINE void transpose_four(const T* from, index_t from_step, T* to, index_t to_step) {
  const auto row = [&](int r) { return Four<T>::load(from + r * from_step); };
  const Four<T> upper_left = chosen<0, 4, 1, 5>(row(0), row(1));
  const Four<T> lower_left = chosen<0, 4, 1, 5>(row(2), row(3));
  const Four<T> upper_right = chosen<2, 6, 3, 7>(row(0), row(1));
  const Four<T> lower_right = chosen<2, 6, 3, 7>(row(2), row(3));
  chosen<0, 1, 4, 5>(upper_left, lower_left).store(to);
  chosen<2, 3, 6, 7>(upper_left, lower_left).store(to + to_step);
  chosen<0, 1, 4, 5>(upper_right, lower_right).store(to + 2 * to_step);
  chosen<2, 3, 6, 7>(upper_right, lower_right).store(to + 3 * to_step);
}

// to[column][row] = from[row][column], rows of `from` close together, those of `to` to_step apart: a cache
// line of four rows at a time. `scalar` has no vectors, of four neither.
template <class T>
void transpose(index_t rows, index_t columns, const T* from, T* to, index_t to_step) {
  constexpr bool kByFours = Vec<T>::kLanes > 1;
  constexpr index_t kLine = 64 / static_cast<index_t>(sizeof(T));
  const index_t by_fours = kByFours ? rows / 4 * 4 : 0;
  for (index_t first = 0; first < columns; first += kLine) {
    const index_t end = columns - first < kLine ? columns : first + kLine;
    const auto one_by_one = [&](index_t row, index_t column) {
      for (; column < end; ++column) to[column * to_step + row] = from[row * columns + column];
    };
    for (index_t row = 0; row < by_fours; row += 4) {
      index_t column = first;
      if constexpr (kByFours) {
        for (; column + 4 <= end; column += 4)
          transpose_four(from + row * columns + column, columns, to + column * to_step + row, to_step);
      }
      for (index_t r = row; r < row + 4; ++r) one_by_one(r, column);
    }
    for (index_t row = by_fours; row < rows; ++row) one_by_one(row, first);
  }
}

}  // namespace rnnfast::RNNFAST_ISA
