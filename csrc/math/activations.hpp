// exp-based activations on vectors and pairs of them: the same operations on every instruction set.
//
//   exp(z)     = 2^n (1 + p),  n = round(z / ln 2),  r = z - n ln 2,  p = expm1(r) = r + r^2 Q(r)
//   sigmoid(x) = 1 / (1 + exp(-x))
//   tanh(x)    = 1 - 2 / (exp(2x) + 1), and x + x^3 P(x^2) where |x| is small, in float;
//                m / (m + 2) with m = expm1(2x) = 2^n p + (2^n - 1), in double
//   relu(x)    = max(x, 0)
//
// Over all of float32 the error is at most 4 ulp of the correctly rounded value and both are monotone: the
// float forms are chains of monotone operations, or have slopes far above their rounding errors
// (tests/test_activations.py measures it; the double form of tanh may step back by an ulp). Limits are exact
// (sigmoid 0 and 1, tanh -1 and 1), NaN in gives NaN out, and values whose true result is denormal are 0.
#pragma once

#include <type_traits>

#include "math/pair.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float kInverseLn2 = 1.44269504088896341f;
  // ln 2 in two pieces (Cody & Waite 1980): n * kLn2High is exact for |n| <= 2^14 even without FMA.
  static constexpr float kLn2High = 0.693359375f;
  static constexpr float kLn2Low = -2.12194440e-4f;
  static constexpr float kRounder =
      12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, held in the low bits
  static constexpr int kMantissa = 23, kBias = 127;
  // The least n is -127, whose scale has bits 0 and is 0; the most is 127, where 1 / (1 + exp) is denormal
  // and flushed to 0. (n = 128 would be inf, and inf times a negative fraction NaN.)
  static constexpr float kLeast = -88.0f, kMost = 88.3f;
  static constexpr float kTanhMost = 10.0f;    // tanh(10) rounds to 1
  static constexpr float kTanhSmall = 0.625f;  // up to here the polynomial
  // Minimax for P with relative error 4.5e-9 (0.04 ulp); highest power first.
  static constexpr float kP[] = {-0.00567976033f, 0.02061859f, -0.0537341687f, 0.133313861f, -0.333332803f};
  // Minimax for Q with error relative to r of 1.3e-8 (0.11 ulp), found by the Remez exchange; highest power
  // first.
  static constexpr float kQ[] = {0.0013946531f, 0.0083666313f, 0.041666280f, 0.16666542f, 0.5f};
};

template <>
struct ExpConstants<double> {
  static constexpr double kInverseLn2 = 1.44269504088896340736;
  static constexpr double kLn2High = 6.93145751953125e-1;
  static constexpr double kLn2Low = 1.42860682030941723212e-6;
  static constexpr double kRounder = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr int kMantissa = 52, kBias = 1023;
  static constexpr double kLeast = -709.0, kMost = 709.4;
  static constexpr double kTanhMost = 20.0;
  // Taylor to r^13: the first term left out is below 1.2e-17 relative to r.
  static constexpr double kQ[] = {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0,
                                  1.0 / 362880.0,     1.0 / 40320.0,     1.0 / 5040.0,     1.0 / 720.0,
                                  1.0 / 120.0,        1.0 / 24.0,        1.0 / 6.0,        0.5};
};

// exp(z) = scale * (1 + fraction)
template <class V>
struct ExpParts {
  V scale, fraction;
};

template <class V>
RNNFAST_INLINE ExpParts<V> exp_parts(V z) {
  using T = typename V::Scalar;
  using C = ExpConstants<T>;
  const V rounded = fma(z, V::broadcast(C::kInverseLn2), V::broadcast(C::kRounder));
  const V n = rounded - V::broadcast(C::kRounder);
  V r = fma(n, V::broadcast(-C::kLn2High), z);
  r = fma(n, V::broadcast(-C::kLn2Low), r);
  V q = V::broadcast(C::kQ[0]);
  RNNFAST_UNROLL
  for (int k = 1; k < static_cast<int>(sizeof C::kQ / sizeof(T)); ++k) q = fma(q, r, V::broadcast(C::kQ[k]));
  // The low bits of `rounded` hold n; the shift drops the rest.
  const V scale = V::from_bits((rounded.bits() + C::kBias) << C::kMantissa);
  return {scale, fma(r * r, q, r)};
}

template <class V>
RNNFAST_INLINE V sigmoid(V x) {
  using C = ExpConstants<typename V::Scalar>;
  const V z = at_most(at_least(-x, V::broadcast(C::kLeast)), V::broadcast(C::kMost));
  const ExpParts<V> e = exp_parts(z);
  const V one = V::broadcast(1);
  return one / (one + fma(e.scale, e.fraction, e.scale));
}

template <class V>
RNNFAST_INLINE V tanh(V x) {
  using T = typename V::Scalar;
  using C = ExpConstants<T>;
  using Bits = typename V::Bits;
  const Bits sign = x.bits() & V::broadcast(static_cast<T>(-0.0)).bits();
  const V magnitude = at_most(V::from_bits(x.bits() ^ sign), V::broadcast(C::kTanhMost));
  const ExpParts<V> e = exp_parts(magnitude + magnitude);
  V result;
  if constexpr (std::is_same_v<T, float>) {
    const V large = V::broadcast(1) - V::broadcast(2) / (fma(e.scale, e.fraction, e.scale) + V::broadcast(1));
    const V square = magnitude * magnitude;
    V p = V::broadcast(C::kP[0]);
    RNNFAST_UNROLL
    for (int k = 1; k < static_cast<int>(sizeof C::kP / sizeof(T)); ++k)
      p = fma(p, square, V::broadcast(C::kP[k]));
    const V small = fma(magnitude, square * p, magnitude);
    result = where_less(magnitude, V::broadcast(C::kTanhSmall), small, large);
  } else {
    const V m = fma(e.scale, e.fraction, e.scale - V::broadcast(1));
    result = m / (m + V::broadcast(2));
  }
  return V::from_bits(result.bits() | sign);
}

template <class V>
RNNFAST_INLINE V relu(V x) {
  // Instruction sets differ in which zero the bound gives for -0; the sum makes it +0, and denormals 0.
  return at_least(x, V::zero()) + V::zero();
}

}  // namespace rnnfast::RNNFAST_ISA
