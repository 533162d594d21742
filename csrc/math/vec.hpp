// Vec<T>: one register of float or double, on the compiler's vector extensions (GCC and Clang), so that
// kernels are written once. Intrinsics appear only where the extensions have no word: fused multiply-add,
// bounds that keep NaN, square root and partial loads and stores. With -ffp-contract=off every operation
// below rounds exactly as written, which is what makes the instruction sets with FMA agree bit for bit.
#pragma once

#include <cstring>
#include <utility>

#include "base/types.hpp"
#include "math/isa.hpp"
#if defined(RNNFAST_ISA_AVX2) || defined(RNNFAST_ISA_AVX512)
#include <immintrin.h>
#elif defined(RNNFAST_ISA_NEON)
#include <arm_neon.h>
#endif

namespace rnnfast::RNNFAST_ISA {

#if defined(RNNFAST_ISA_SCALAR)
constexpr int kVectorBytes = 0;  // one lane, no vectors
#elif defined(RNNFAST_ISA_AVX2)
constexpr int kVectorBytes = 32;
#elif defined(RNNFAST_ISA_AVX512)
constexpr int kVectorBytes = 64;
#elif defined(RNNFAST_ISA_NEON)
constexpr int kVectorBytes = 16;
#endif

template <class T>
struct Lane;
template <>
struct Lane<float> {
  using Bits = std::int32_t;
};
template <>
struct Lane<double> {
  using Bits = std::int64_t;
};

template <class T>
struct Vec {
  using Scalar = T;
#if defined(RNNFAST_ISA_SCALAR)
  static constexpr int kLanes = 1;
  using Native = T;
  using Bits = typename Lane<T>::Bits;
#else
  static constexpr int kLanes = kVectorBytes / sizeof(T);
  typedef T Native __attribute__((vector_size(kVectorBytes)));
  typedef typename Lane<T>::Bits Bits __attribute__((vector_size(kVectorBytes)));
#endif
  Native native;

  static RNNFAST_INLINE Vec broadcast(T value) {
#if defined(RNNFAST_ISA_SCALAR)
    return {value};
#else
    return {value - Native{}};  // value minus +0 keeps every value, -0 included; compiles to one broadcast
#endif
  }
  static RNNFAST_INLINE Vec zero() { return {Native{}}; }
  static RNNFAST_INLINE Vec load(const T* from) {
    Vec v;
    std::memcpy(&v.native, from, sizeof v.native);
    return v;
  }
  RNNFAST_INLINE void store(T* to) const { std::memcpy(to, &native, sizeof native); }
  RNNFAST_INLINE Bits bits() const {
    Bits result;
    std::memcpy(&result, &native, sizeof result);
    return result;
  }
  static RNNFAST_INLINE Vec from_bits(Bits bits) {
    Vec v;
    std::memcpy(&v.native, &bits, sizeof bits);
    return v;
  }

  friend RNNFAST_INLINE Vec operator+(Vec a, Vec b) { return {a.native + b.native}; }
  friend RNNFAST_INLINE Vec operator-(Vec a, Vec b) { return {a.native - b.native}; }
  friend RNNFAST_INLINE Vec operator*(Vec a, Vec b) { return {a.native * b.native}; }
  friend RNNFAST_INLINE Vec operator/(Vec a, Vec b) { return {a.native / b.native}; }
  friend RNNFAST_INLINE Vec operator-(Vec a) { return {-a.native}; }
};

#if defined(RNNFAST_ISA_SCALAR)
template <class T>
RNNFAST_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
  return {a.native * b.native + c.native};
}
// at_least(x, bound) and at_most(x, bound) return x where x is NaN.
template <class T>
RNNFAST_INLINE Vec<T> at_least(Vec<T> x, Vec<T> bound) {
  return {bound.native > x.native ? bound.native : x.native};
}
template <class T>
RNNFAST_INLINE Vec<T> at_most(Vec<T> x, Vec<T> bound) {
  return {bound.native < x.native ? bound.native : x.native};
}
#elif defined(RNNFAST_ISA_AVX2)
RNNFAST_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return {_mm256_fmadd_ps(a.native, b.native, c.native)};
}
RNNFAST_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {_mm256_fmadd_pd(a.native, b.native, c.native)};
}
// x86 max and min return the second operand where either is NaN: at_least(x, bound) and at_most(x, bound)
// keep a NaN x.
RNNFAST_INLINE Vec<float> at_least(Vec<float> x, Vec<float> bound) {
  return {_mm256_max_ps(bound.native, x.native)};
}
RNNFAST_INLINE Vec<double> at_least(Vec<double> x, Vec<double> bound) {
  return {_mm256_max_pd(bound.native, x.native)};
}
RNNFAST_INLINE Vec<float> at_most(Vec<float> x, Vec<float> bound) {
  return {_mm256_min_ps(bound.native, x.native)};
}
RNNFAST_INLINE Vec<double> at_most(Vec<double> x, Vec<double> bound) {
  return {_mm256_min_pd(bound.native, x.native)};
}
#elif defined(RNNFAST_ISA_AVX512)
RNNFAST_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return {_mm512_fmadd_ps(a.native, b.native, c.native)};
}
RNNFAST_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {_mm512_fmadd_pd(a.native, b.native, c.native)};
}
// As for AVX2. The zero-masking forms with all lanes on are the plain instructions; GCC's plain ones warn of
// uninitialised values.
RNNFAST_INLINE Vec<float> at_least(Vec<float> x, Vec<float> bound) {
  return {_mm512_maskz_max_ps(static_cast<__mmask16>(-1), bound.native, x.native)};
}
RNNFAST_INLINE Vec<double> at_least(Vec<double> x, Vec<double> bound) {
  return {_mm512_maskz_max_pd(static_cast<__mmask8>(-1), bound.native, x.native)};
}
RNNFAST_INLINE Vec<float> at_most(Vec<float> x, Vec<float> bound) {
  return {_mm512_maskz_min_ps(static_cast<__mmask16>(-1), bound.native, x.native)};
}
RNNFAST_INLINE Vec<double> at_most(Vec<double> x, Vec<double> bound) {
  return {_mm512_maskz_min_pd(static_cast<__mmask8>(-1), bound.native, x.native)};
}
#elif defined(RNNFAST_ISA_NEON)
RNNFAST_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return {vfmaq_f32(c.native, a.native, b.native)};
}
RNNFAST_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {vfmaq_f64(c.native, a.native, b.native)};
}
// NEON max and min return NaN where either operand is NaN, and the bounds never are.
RNNFAST_INLINE Vec<float> at_least(Vec<float> x, Vec<float> bound) {
  return {vmaxq_f32(bound.native, x.native)};
}
RNNFAST_INLINE Vec<double> at_least(Vec<double> x, Vec<double> bound) {
  return {vmaxq_f64(bound.native, x.native)};
}
RNNFAST_INLINE Vec<float> at_most(Vec<float> x, Vec<float> bound) {
  return {vminq_f32(bound.native, x.native)};
}
RNNFAST_INLINE Vec<double> at_most(Vec<double> x, Vec<double> bound) {
  return {vminq_f64(bound.native, x.native)};
}
#endif

// value where x < bound, else other (NaN x: other).
template <class T>
RNNFAST_INLINE Vec<T> where_less(Vec<T> x, Vec<T> bound, Vec<T> value, Vec<T> other) {
  return {x.native < bound.native ? value.native : other.native};
}

// value where x > 0, else 0 (NaN x: 0).
template <class T>
RNNFAST_INLINE Vec<T> where_positive(Vec<T> x, Vec<T> value) {
  return {x.native > typename Vec<T>::Native{} ? value.native : typename Vec<T>::Native{}};
}

// value where the mask has ones, else other.
template <class T>
RNNFAST_INLINE Vec<T> choose(typename Vec<T>::Bits mask, Vec<T> value, Vec<T> other) {
  return {mask ? value.native : other.native};
}

// load_first: the first `count` <= kLanes lanes from memory, zeros in the rest; store_first writes only those
// lanes. Memory behind them is not touched, so tails need no scalar loop and no padding.
#if defined(RNNFAST_ISA_AVX2)
alignas(64) constexpr std::int32_t kFirstLanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
RNNFAST_INLINE __m256i first_lanes(index_t words) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirstLanes + 8 - words));
}
RNNFAST_INLINE Vec<float> load_first(const float* from, index_t count) {
  return {_mm256_maskload_ps(from, first_lanes(count))};
}
RNNFAST_INLINE Vec<double> load_first(const double* from, index_t count) {
  return {_mm256_maskload_pd(from, first_lanes(2 * count))};
}
// In halves of what is left: AMD's masked stores are microcode of some forty steps.
RNNFAST_INLINE void store_first(Vec<float> v, float* to, index_t count) {
  if (count == v.kLanes) return v.store(to);
  __m128 rest = _mm256_castps256_ps128(v.native);
  if (count & 4) {
    _mm_storeu_ps(to, rest);
    rest = _mm256_extractf128_ps(v.native, 1);
    to += 4;
  }
  if (count & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(to), rest);
    rest = _mm_movehl_ps(rest, rest);
    to += 2;
  }
  if (count & 1) _mm_store_ss(to, rest);
}
RNNFAST_INLINE void store_first(Vec<double> v, double* to, index_t count) {
  if (count == v.kLanes) return v.store(to);
  __m128d rest = _mm256_castpd256_pd128(v.native);
  if (count & 2) {
    _mm_storeu_pd(to, rest);
    rest = _mm256_extractf128_pd(v.native, 1);
    to += 2;
  }
  if (count & 1) _mm_store_sd(to, rest);
}
#elif defined(RNNFAST_ISA_AVX512)
RNNFAST_INLINE __mmask16 first_lanes(index_t count) { return static_cast<__mmask16>((1u << count) - 1); }
RNNFAST_INLINE Vec<float> load_first(const float* from, index_t count) {
  return {_mm512_maskz_loadu_ps(first_lanes(count), from)};
}
RNNFAST_INLINE Vec<double> load_first(const double* from, index_t count) {
  return {_mm512_maskz_loadu_pd(static_cast<__mmask8>(first_lanes(count)), from)};
}
RNNFAST_INLINE void store_first(Vec<float> v, float* to, index_t count) {
  _mm512_mask_storeu_ps(to, first_lanes(count), v.native);
}
RNNFAST_INLINE void store_first(Vec<double> v, double* to, index_t count) {
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>(first_lanes(count)), v.native);
}
#else
template <class T>
RNNFAST_INLINE Vec<T> load_first(const T* from, index_t count) {
  T lanes[Vec<T>::kLanes] = {};
  for (index_t lane = 0; lane < count; ++lane) lanes[lane] = from[lane];
  return Vec<T>::load(lanes);
}
template <class T>
RNNFAST_INLINE void store_first(Vec<T> v, T* to, index_t count) {
  T lanes[Vec<T>::kLanes];
  v.store(lanes);
  for (index_t lane = 0; lane < count; ++lane) to[lane] = lanes[lane];
}
#endif

// v with lane l in the place of lane l - distance.
#if !defined(RNNFAST_ISA_SCALAR)
template <int kDistance, class T, int... kLane>
RNNFAST_INLINE Vec<T> lanes_down(Vec<T> v, std::integer_sequence<int, kLane...>) {
#if defined(__clang__)
  return {__builtin_shufflevector(v.native, v.native, ((kLane + kDistance) % Vec<T>::kLanes)...)};
#else
  return {__builtin_shuffle(v.native, typename Vec<T>::Bits{((kLane + kDistance) % Vec<T>::kLanes)...})};
#endif
}
#endif

// The sum of all lanes as a tree: lane l takes lane l + lanes / 2, then l + lanes / 4, and so on.
template <class T, int kWidth = Vec<T>::kLanes / 2>
RNNFAST_INLINE T sum_of_lanes(Vec<T> v) {
  if constexpr (kWidth > 0) {
    using Lanes = std::make_integer_sequence<int, Vec<T>::kLanes>;
    return sum_of_lanes<T, kWidth / 2>(v + lanes_down<kWidth>(v, Lanes{}));
  } else {
    T lanes[Vec<T>::kLanes];
    v.store(lanes);
    return lanes[0];
  }
}

// The first `left` > 0 lanes of v, however many that are, and zeros in the rest.
template <class T>
RNNFAST_INLINE Vec<T> first_lanes_of(Vec<T> v, index_t left) {
  if (left >= Vec<T>::kLanes) return v;
  T lanes[Vec<T>::kLanes] = {};
  store_first(v, lanes, left);
  return Vec<T>::load(lanes);
}

// As load_first and store_first, with `left` > 0 elements left from here on, however many: the usual case is
// a full vector.
template <class T>
RNNFAST_INLINE Vec<T> load_up_to(const T* from, index_t left) {
  return left >= Vec<T>::kLanes ? Vec<T>::load(from) : load_first(from, left);
}
template <class T>
RNNFAST_INLINE void store_up_to(Vec<T> v, T* to, index_t left) {
  left >= Vec<T>::kLanes ? v.store(to) : store_first(v, to, left);
}

// `width` values, which are whole vectors: the `count` that lie at `from`, none where it is null, and zeros
// behind them. Not one by one under a condition: of `from != nullptr && i < count ? from[i] : 0` GCC makes
// masked loads, and where the mask hides an address that is not there one takes a Zen 4 hundreds of cycles.
template <class T>
RNNFAST_INLINE void copy_padded(T* to, index_t width, const T* from, index_t count) {
  const index_t given = from == nullptr ? 0 : count;
  for (index_t i = 0; i < width; i += Vec<T>::kLanes)
    (i < given ? load_up_to(from + i, given - i) : Vec<T>::zero()).store(to + i);
}

}  // namespace rnnfast::RNNFAST_ISA
