// Half<T>: half of an AVX-512 register. A last vector of which half or less is used costs CPUs with units of
// 256 bits half as much in it. Halves of narrower registers cost as much as whole ones.
#pragma once

#include "math/tile.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
struct Half;

#if defined(RNNFAST_ISA_AVX512)
constexpr bool kHasHalves = true;

template <class T>
struct Half {
  static constexpr int kLanes = Vec<T>::kLanes / 2;
  typedef T Native __attribute__((vector_size(kVectorBytes / 2)));
  Native native;

  static RNNFAST_INLINE Half broadcast(T value) { return {value - Native{}}; }
  static RNNFAST_INLINE Half load(const T* from) {
    Half half;
    std::memcpy(&half.native, from, sizeof half.native);
    return half;
  }
  RNNFAST_INLINE void store(T* to) const { std::memcpy(to, &native, sizeof native); }
};
RNNFAST_INLINE Half<float> fma(Half<float> a, Half<float> b, Half<float> c) {
  return {_mm256_fmadd_ps(a.native, b.native, c.native)};
}
RNNFAST_INLINE Half<double> fma(Half<double> a, Half<double> b, Half<double> c) {
  return {_mm256_fmadd_pd(a.native, b.native, c.native)};
}
#else
constexpr bool kHasHalves = false;
#endif

// As `accumulate`, with one more column of which the first half is used.
template <int kRows, int kColumns, class T>
RNNFAST_INLINE void accumulate_and_half(Vec<T> (&sum)[kRows][kColumns], Half<T> (&half)[kRows],
                                        const T* const (&rows)[kRows], const T* panel, index_t depth) {
  using V = Vec<T>;
  for (index_t k = 0; k < depth; ++k, panel += (kColumns + 1) * V::kLanes) {
    V weight[kColumns];
    RNNFAST_UNROLL
    for (int c = 0; c < kColumns; ++c) weight[c] = V::load(panel + c * V::kLanes);
    const Half<T> last = Half<T>::load(panel + kColumns * V::kLanes);
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const V value = V::broadcast(rows[r][k]);
      RNNFAST_UNROLL
      for (int c = 0; c < kColumns; ++c) sum[r][c] = fma(value, weight[c], sum[r][c]);
      half[r] = fma(Half<T>::broadcast(rows[r][k]), last, half[r]);
    }
  }
}
}  // namespace rnnfast::RNNFAST_ISA
