// Layer norm of single rows (Ba, Kiros & Hinton 2016), forward and backward:
//   norm(v) = (v - mean) rstd,  rstd = 1 / sqrt(variance + 1e-5), variance biased
//   dv = rstd (g - mean(g) - norm(v) mean(g norm(v))),  g the gradient of norm(v)
// Squares are summed as they are: in float32 values beyond 1e18 overflow, and the norm of such a row is 0.
// A row is a number of runs (gates) of `units` values. Sums run in kVirtualLanes lanes, lane u % 16 taking
// unit u of every run in turn, and the lanes are added as a tree: the same order on every instruction set.
#pragma once

#include <cmath>

#include "math/vec.hpp"

namespace rnnfast::RNNFAST_ISA {

constexpr int kVirtualLanes = 16;

// A sum over units; `place` tells which of the virtual lanes a vector holds.
template <class T>
class LaneSum {
  using V = Vec<T>;

 public:
  static constexpr int kPlaces = kVirtualLanes / V::kLanes;

  RNNFAST_INLINE void add(int place, V value) { part_[place] = part_[place] + value; }
  RNNFAST_INLINE void add_product(int place, V a, V b) { part_[place] = fma(a, b, part_[place]); }
  // Lane l takes lane l + 8, then l + 4, and so on: first among vectors, then within one.
  RNNFAST_INLINE T total() const {
    V part[kPlaces];
    RNNFAST_UNROLL
    for (int place = 0; place < kPlaces; ++place) part[place] = part_[place];
    RNNFAST_UNROLL
    for (int width = kPlaces / 2; width > 0; width /= 2) {
      RNNFAST_UNROLL
      for (int place = 0; place < width; ++place) part[place] = part[place] + part[place + width];
    }
    return sum_of_lanes(part[0]);
  }

 private:
  V part_[kPlaces] = {};
};

// body(unit, place, left) for every vector of `units` units.
template <class T, class Body>
RNNFAST_INLINE void for_each_vector(index_t units, Body&& body) {
  constexpr int kLanes = Vec<T>::kLanes;
  index_t unit = 0;
  for (; unit + kVirtualLanes <= units; unit += kVirtualLanes) {
    RNNFAST_UNROLL
    for (int place = 0; place < LaneSum<T>::kPlaces; ++place)
      body(unit + place * kLanes, place, static_cast<index_t>(kLanes));
  }
  for (int place = 0; unit < units; ++place, unit += kLanes) body(unit, place, units - unit);
}

template <class T>
RNNFAST_INLINE T reciprocal_deviation(T variance) {
  constexpr T kEpsilon = T(1e-5);
  return T(1) / std::sqrt(variance + kEpsilon);
}

template <class T>
struct Moments {
  T mean, rstd;
};

// Of `runs` runs of `units` values, `stride` apart.
template <class T>
Moments<T> moments(const T* row, index_t runs, index_t units, index_t stride) {
  using V = Vec<T>;
  const T share = T(1) / static_cast<T>(runs * units);
  LaneSum<T> sum;
  for (index_t run = 0; run < runs; ++run) {
    for_each_vector<T>(units, [&](index_t unit, int place, index_t left) {
      sum.add(place, load_up_to(row + run * stride + unit, left));
    });
  }
  const T mean = sum.total() * share;
  LaneSum<T> squares;
  for (index_t run = 0; run < runs; ++run) {
    for_each_vector<T>(units, [&](index_t unit, int place, index_t left) {
      const V off = first_lanes_of(load_up_to(row + run * stride + unit, left) - V::broadcast(mean), left);
      squares.add_product(place, off, off);
    });
  }
  return {mean, reciprocal_deviation(squares.total() * share)};
}

// The gradient of a normalised row: means of g and of g norm(v), and dv from them.
template <class T>
class NormGradient {
  using V = Vec<T>;

 public:
  RNNFAST_INLINE void add(int place, V gradient, V normalised) {
    sum_.add(place, gradient);
    product_.add_product(place, gradient, normalised);
  }
  RNNFAST_INLINE void finish(index_t count, T rstd) {
    const T share = T(1) / static_cast<T>(count);
    mean_ = V::broadcast(sum_.total() * share);
    slope_ = V::broadcast(product_.total() * share);
    rstd_ = V::broadcast(rstd);
  }
  RNNFAST_INLINE V operator()(V gradient, V normalised) const {
    return rstd_ * (gradient - fma(normalised, slope_, mean_));
  }

 private:
  LaneSum<T> sum_, product_;
  V mean_ = V::zero(), slope_ = V::zero(), rstd_ = V::zero();
};

}  // namespace rnnfast::RNNFAST_ISA
