// Vectors in parts: short runs of values that lie in different places share one, as the last units of several
// rows do, or those of several gates.
#pragma once

#include "math/tile.hpp"

namespace rnnfast::RNNFAST_ISA {

// load_parts, store_parts: the first `count` values of kParts runs, each in a part of kLanes / kParts lanes,
// zeros in the rest. kMostParts: into how many a vector may be cut.
#if defined(RNNFAST_ISA_AVX512)
constexpr int kMostParts = 4;
// A part is half or a quarter of the register whatever its values are: only loads and stores tell them apart.
RNNFAST_INLINE __mmask8 first_of_part(index_t count) { return static_cast<__mmask8>(first_lanes(count)); }
RNNFAST_INLINE __m256i load_half(const float* from, index_t count) {
  return _mm256_castps_si256(_mm256_maskz_loadu_ps(first_of_part(count), from));
}
RNNFAST_INLINE __m256i load_half(const double* from, index_t count) {
  return _mm256_castpd_si256(_mm256_maskz_loadu_pd(first_of_part(count), from));
}
RNNFAST_INLINE __m128i load_quarter(const float* from, index_t count) {
  return _mm_castps_si128(count == 4 ? _mm_loadu_ps(from) : _mm_maskz_loadu_ps(first_of_part(count), from));
}
RNNFAST_INLINE __m128i load_quarter(const double* from, index_t count) {
  return _mm_castpd_si128(count == 2 ? _mm_loadu_pd(from) : _mm_load_sd(from));
}
RNNFAST_INLINE void store_half(__m256i part, float* to, index_t count) {
  _mm256_mask_storeu_ps(to, first_of_part(count), _mm256_castsi256_ps(part));
}
RNNFAST_INLINE void store_half(__m256i part, double* to, index_t count) {
  _mm256_mask_storeu_pd(to, first_of_part(count), _mm256_castsi256_pd(part));
}
RNNFAST_INLINE void store_quarter(__m128i part, float* to, index_t count) {
  if (count == 4) return _mm_storeu_ps(to, _mm_castsi128_ps(part));
  _mm_mask_storeu_ps(to, first_of_part(count), _mm_castsi128_ps(part));
}
RNNFAST_INLINE void store_quarter(__m128i part, double* to, index_t count) {
  _mm_mask_storeu_pd(to, first_of_part(count), _mm_castsi128_pd(part));
}

// Zero-masking forms for the reason that math/vec.hpp gives.
template <int kParts, class T>
RNNFAST_INLINE Vec<T> load_parts(const T* const* from, index_t count) {
  static_assert(kParts == 2 || kParts == 4);
  __m512i v;
  if constexpr (kParts == 2) {
    v = _mm512_castsi256_si512(load_half(from[0], count));
    v = _mm512_maskz_inserti64x4(static_cast<__mmask8>(-1), v, load_half(from[1], count), 1);
  } else {
    constexpr __mmask16 kAll = static_cast<__mmask16>(-1);
    v = _mm512_castsi128_si512(load_quarter(from[0], count));
    v = _mm512_maskz_inserti32x4(kAll, v, load_quarter(from[1], count), 1);
    v = _mm512_maskz_inserti32x4(kAll, v, load_quarter(from[2], count), 2);
    v = _mm512_maskz_inserti32x4(kAll, v, load_quarter(from[3], count), 3);
  }
  return Vec<T>::from_bits(reinterpret_cast<typename Vec<T>::Bits>(v));
}
template <int kParts, class T>
RNNFAST_INLINE void store_parts(Vec<T> value, T* const* to, index_t count) {
  static_assert(kParts == 2 || kParts == 4);
  constexpr __mmask8 kAll = static_cast<__mmask8>(-1);
  const __m512i v = reinterpret_cast<__m512i>(value.bits());
  if constexpr (kParts == 2) {
    store_half(_mm512_maskz_extracti64x4_epi64(kAll, v, 0), to[0], count);
    store_half(_mm512_maskz_extracti64x4_epi64(kAll, v, 1), to[1], count);
  } else {
    store_quarter(_mm512_maskz_extracti32x4_epi32(kAll, v, 0), to[0], count);
    store_quarter(_mm512_maskz_extracti32x4_epi32(kAll, v, 1), to[1], count);
    store_quarter(_mm512_maskz_extracti32x4_epi32(kAll, v, 2), to[2], count);
    store_quarter(_mm512_maskz_extracti32x4_epi32(kAll, v, 3), to[3], count);
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

// body(Constant<parts>) where there are several.
template <class Body>
RNNFAST_INLINE void with_parts(int parts, Body&& body) {
  if constexpr (kMostParts >= 4) {
    if (parts == 4) return body(Constant<4>{});
  }
  if constexpr (kMostParts >= 2) {
    if (parts == 2) return body(Constant<2>{});
  }
}

}  // namespace rnnfast::RNNFAST_ISA
