// Pair<T>: two vectors, of one row or two, that go through the same formulas. A cell's formulas are chains of
// some 80 cycles; two of them side by side fill the cycles that one alone would wait. Where a Vec is a value
// type of cells and activations, a Pair is one too; each half has the bits that it would have alone.
#pragma once

#include "math/vec.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
struct Pair {
  using V = Vec<T>;
  using Scalar = T;
  V a, b;

  struct Bits {
    typename V::Bits a, b;
    friend RNNFAST_INLINE Bits operator&(Bits x, Bits y) { return {x.a & y.a, x.b & y.b}; }
    friend RNNFAST_INLINE Bits operator^(Bits x, Bits y) { return {x.a ^ y.a, x.b ^ y.b}; }
    friend RNNFAST_INLINE Bits operator|(Bits x, Bits y) { return {x.a | y.a, x.b | y.b}; }
    friend RNNFAST_INLINE Bits operator+(Bits x, int y) { return {x.a + y, x.b + y}; }
    friend RNNFAST_INLINE Bits operator<<(Bits x, int y) { return {x.a << y, x.b << y}; }
  };

  static RNNFAST_INLINE Pair broadcast(T value) { return {V::broadcast(value), V::broadcast(value)}; }
  static RNNFAST_INLINE Pair zero() { return {V::zero(), V::zero()}; }
  static RNNFAST_INLINE Pair load(const T* a, const T* b) { return {V::load(a), V::load(b)}; }
  RNNFAST_INLINE void store(T* to_a, T* to_b) const {
    a.store(to_a);
    b.store(to_b);
  }
  RNNFAST_INLINE Bits bits() const { return {a.bits(), b.bits()}; }
  static RNNFAST_INLINE Pair from_bits(Bits bits) { return {V::from_bits(bits.a), V::from_bits(bits.b)}; }

  friend RNNFAST_INLINE Pair operator+(Pair x, Pair y) { return {x.a + y.a, x.b + y.b}; }
  friend RNNFAST_INLINE Pair operator-(Pair x, Pair y) { return {x.a - y.a, x.b - y.b}; }
  friend RNNFAST_INLINE Pair operator*(Pair x, Pair y) { return {x.a * y.a, x.b * y.b}; }
  friend RNNFAST_INLINE Pair operator/(Pair x, Pair y) { return {x.a / y.a, x.b / y.b}; }
  friend RNNFAST_INLINE Pair operator-(Pair x) { return {-x.a, -x.b}; }
};

template <class T>
RNNFAST_INLINE Pair<T> fma(Pair<T> x, Pair<T> y, Pair<T> z) {
  return {fma(x.a, y.a, z.a), fma(x.b, y.b, z.b)};
}
template <class T>
RNNFAST_INLINE Pair<T> at_least(Pair<T> x, Pair<T> bound) {
  return {at_least(x.a, bound.a), at_least(x.b, bound.b)};
}
template <class T>
RNNFAST_INLINE Pair<T> at_most(Pair<T> x, Pair<T> bound) {
  return {at_most(x.a, bound.a), at_most(x.b, bound.b)};
}
template <class T>
RNNFAST_INLINE Pair<T> where_less(Pair<T> x, Pair<T> bound, Pair<T> value, Pair<T> other) {
  return {where_less(x.a, bound.a, value.a, other.a), where_less(x.b, bound.b, value.b, other.b)};
}
template <class T>
RNNFAST_INLINE Pair<T> where_positive(Pair<T> x, Pair<T> value) {
  return {where_positive(x.a, value.a), where_positive(x.b, value.b)};
}

template <class T>
RNNFAST_INLINE void store_up_to(Pair<T> v, T* to_a, index_t left_a, T* to_b, index_t left_b) {
  store_up_to(v.a, to_a, left_a);
  store_up_to(v.b, to_b, left_b);
}

}  // namespace rnnfast::RNNFAST_ISA
