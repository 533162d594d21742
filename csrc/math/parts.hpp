// Vectors in parts: short runs of values that lie in different places share one, as the last units of several
// rows do, or those of several gates.
#pragma once

#include "math/tile.hpp"

namespace rnnfast::RNNFAST_ISA {

// load_parts, store_parts: the first `count` values of kParts runs, each in a part of kLanes / kParts lanes,
// zeros in the rest. kMostParts: into how many a vector may be cut.
#if defined(RNNFAST_ISA_AVX512)
constexpr int kMostParts = 4;
RNNFAST_INLINE __m128 load_part(const float* from, index_t count) {
  return count == 4 ? _mm_loadu_ps(from)
                    : _mm_maskz_loadu_ps(static_cast<__mmask8>(first_lanes(count)), from);
}
RNNFAST_INLINE __m128d load_part(const double* from, index_t count) {
  return count == 2 ? _mm_loadu_pd(from) : _mm_load_sd(from);
}
// Zero-masking forms for the reason that math/vec.hpp gives.
template <int kParts>
RNNFAST_INLINE Vec<float> load_parts(const float* const* from, index_t count) {
  constexpr __mmask16 kAll = static_cast<__mmask16>(-1);
  if constexpr (kParts == 2) {
    const __mmask8 mask = static_cast<__mmask8>(first_lanes(count));
    const __m512 first = _mm512_castps256_ps512(_mm256_maskz_loadu_ps(mask, from[0]));
    return {_mm512_maskz_insertf32x8(kAll, first, _mm256_maskz_loadu_ps(mask, from[1]), 1)};
  } else {
    __m512 v = _mm512_castps128_ps512(load_part(from[0], count));
    v = _mm512_maskz_insertf32x4(kAll, v, load_part(from[1], count), 1);
    v = _mm512_maskz_insertf32x4(kAll, v, load_part(from[2], count), 2);
    return {_mm512_maskz_insertf32x4(kAll, v, load_part(from[3], count), 3)};
  }
}
template <int kParts>
RNNFAST_INLINE Vec<double> load_parts(const double* const* from, index_t count) {
  constexpr __mmask8 kAll = static_cast<__mmask8>(-1);
  if constexpr (kParts == 2) {
    const __mmask8 mask = static_cast<__mmask8>(first_lanes(count));
    const __m512d first = _mm512_castpd256_pd512(_mm256_maskz_loadu_pd(mask, from[0]));
    return {_mm512_maskz_insertf64x4(kAll, first, _mm256_maskz_loadu_pd(mask, from[1]), 1)};
  } else {
    __m512d v = _mm512_castpd128_pd512(load_part(from[0], count));
    v = _mm512_maskz_insertf64x2(kAll, v, load_part(from[1], count), 1);
    v = _mm512_maskz_insertf64x2(kAll, v, load_part(from[2], count), 2);
    return {_mm512_maskz_insertf64x2(kAll, v, load_part(from[3], count), 3)};
  }
}
// One part of a vector onto memory.
template <int kParts, int kPart>
RNNFAST_INLINE void store_part(Vec<float> v, float* to, index_t count) {
  constexpr __mmask8 kAll = static_cast<__mmask8>(-1);
  const __mmask8 mask = static_cast<__mmask8>(first_lanes(count));
  if constexpr (kParts == 2) {
    _mm256_mask_storeu_ps(to, mask, _mm512_maskz_extractf32x8_ps(kAll, v.native, kPart));
  } else {
    const __m128 part = _mm512_maskz_extractf32x4_ps(kAll, v.native, kPart);
    count == 4 ? _mm_storeu_ps(to, part) : _mm_mask_storeu_ps(to, mask, part);
  }
}
template <int kParts, int kPart>
RNNFAST_INLINE void store_part(Vec<double> v, double* to, index_t count) {
  constexpr __mmask8 kAll = static_cast<__mmask8>(-1);
  const __mmask8 mask = static_cast<__mmask8>(first_lanes(count));
  if constexpr (kParts == 2) {
    _mm256_mask_storeu_pd(to, mask, _mm512_maskz_extractf64x4_pd(kAll, v.native, kPart));
  } else {
    _mm_mask_storeu_pd(to, mask, _mm512_maskz_extractf64x2_pd(kAll, v.native, kPart));
  }
}
template <int kParts, class T>
RNNFAST_INLINE void store_parts(Vec<T> v, T* const* to, index_t count) {
  store_part<kParts, 0>(v, to[0], count);
  store_part<kParts, 1>(v, to[1], count);
  if constexpr (kParts == 4) {
    store_part<kParts, 2>(v, to[2], count);
    store_part<kParts, 3>(v, to[3], count);
  }
}
#elif defined(RNNFAST_ISA_AVX2)
constexpr int kMostParts = 2;
template <int kParts, class T>
RNNFAST_INLINE Vec<T> load_parts(const T* const* from, index_t count) {
  static_assert(kParts == 2);
  const Vec<T> a = load_first(from[0], count), b = load_first(from[1], count);
  if constexpr (sizeof(T) == 4) {
    return {_mm256_permute2f128_ps(a.native, b.native, 0x20)};
  } else {
    return {_mm256_permute2f128_pd(a.native, b.native, 0x20)};
  }
}
template <int kParts, class T>
RNNFAST_INLINE void store_parts(Vec<T> v, T* const* to, index_t count) {
  constexpr int kPart = Vec<T>::kLanes / kParts;
  store_first(v, to[0], count);
  store_first(lanes_down<kPart>(v, std::make_integer_sequence<int, Vec<T>::kLanes>{}), to[1], count);
}
#elif defined(RNNFAST_ISA_NEON)
constexpr int kMostParts = 2;
RNNFAST_INLINE float32x2_t load_part(const float* from, index_t count) {
  return count == 2 ? vld1_f32(from) : vld1_lane_f32(from, vdup_n_f32(0), 0);
}
RNNFAST_INLINE void store_part(float32x2_t part, float* to, index_t count) {
  count == 2 ? vst1_f32(to, part) : vst1_lane_f32(to, part, 0);
}
template <int kParts>
RNNFAST_INLINE Vec<float> load_parts(const float* const* from, index_t count) {
  static_assert(kParts == 2);
  return {vcombine_f32(load_part(from[0], count), load_part(from[1], count))};
}
template <int kParts>
RNNFAST_INLINE void store_parts(Vec<float> v, float* const* to, index_t count) {
  store_part(vget_low_f32(v.native), to[0], count);
  store_part(vget_high_f32(v.native), to[1], count);
}
// A part is one value here.
template <int kParts>
RNNFAST_INLINE Vec<double> load_parts(const double* const* from, index_t) {
  static_assert(kParts == 2);
  return {vcombine_f64(vld1_f64(from[0]), vld1_f64(from[1]))};
}
template <int kParts>
RNNFAST_INLINE void store_parts(Vec<double> v, double* const* to, index_t) {
  vst1_f64(to[0], vget_low_f64(v.native));
  vst1_f64(to[1], vget_high_f64(v.native));
}
#else
constexpr int kMostParts = 1;
#endif

// Into how many parts a vector may be cut that hold so many values each; 1: it holds one run of them.
template <class T>
RNNFAST_INLINE int parts_holding(index_t values) {
  if (kMostParts >= 4 && 4 * values <= Vec<T>::kLanes) return 4;
  return kMostParts >= 2 && 2 * values <= Vec<T>::kLanes ? 2 : 1;
}

// body(Constant<parts>) where a vector is cut (kMostParts), `whole` where it is not.
template <class Whole, class Body>
RNNFAST_INLINE Whole with_parts(int parts, Whole whole, Body&& body) {
  if constexpr (kMostParts >= 4) {
    if (parts == 4) return body(Constant<4>{});
  }
  if constexpr (kMostParts >= 2) {
    if (parts == 2) return body(Constant<2>{});
  }
  return whole;
}

}  // namespace rnnfast::RNNFAST_ISA
