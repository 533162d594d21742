// Optimizer steps over one flat buffer, each a single pass. Element-wise operations that IEEE 754 rounds
// exactly, written as plain loops: the compiler turns them into vectors, and every variant gives the same
// bits.
#pragma once

#include <cmath>

#include "api/optimizer.hpp"
#include "base/denormals.hpp"
#include "math/isa.hpp"

namespace rnnfast::RNNFAST_ISA {

RNNFAST_INLINE float square_root(float x) { return __builtin_sqrtf(x); }
RNNFAST_INLINE double square_root(double x) { return __builtin_sqrt(x); }

template <class T>
struct OptimizerPass {
  static void sgd(const api::SgdStep<T>& step) {
    const FlushDenormals flush;
    T* __restrict p = step.parameter;
    const T* __restrict gradient = step.gradient;
    T* __restrict v = step.velocity;
    if (v == nullptr) {
      for (index_t k = 0; k < step.count; ++k) p[k] -= step.rate * decayed(step, gradient[k], p[k]);
      return;
    }
    for (index_t k = 0; k < step.count; ++k) {
      const T g = decayed(step, gradient[k], p[k]);
      v[k] = step.momentum * v[k] + g;
      p[k] -= step.rate * (step.nesterov ? g + step.momentum * v[k] : v[k]);
    }
  }

  static void rmsprop(const api::RmspropStep<T>& step) {
    const FlushDenormals flush;
    T* __restrict p = step.parameter;
    const T* __restrict gradient = step.gradient;
    T* __restrict s = step.square_average;
    T* __restrict v = step.velocity;
    for (index_t k = 0; k < step.count; ++k) {
      const T g = decayed(step, gradient[k], p[k]);
      s[k] = step.decay * s[k] + step.fresh * (g * g);
      T update = g / (square_root(s[k]) + step.epsilon);
      if (v != nullptr) update = v[k] = step.momentum * v[k] + update;
      p[k] -= step.rate * update;
    }
  }

  static void adam(const api::AdamStep<T>& step) {
    const FlushDenormals flush;
    T* __restrict p = step.parameter;
    const T* __restrict gradient = step.gradient;
    T* __restrict m = step.first_moment;
    T* __restrict s = step.second_moment;
    const T shrink = step.decoupled ? T(1) - step.rate * step.weight_decay : T(1);
    const T decay = step.decoupled ? T(0) : step.weight_decay;
    for (index_t k = 0; k < step.count; ++k) {
      const T g = step.gradient_scale * gradient[k] + decay * p[k];
      m[k] = step.beta1 * m[k] + step.fresh1 * g;
      s[k] = step.beta2 * s[k] + step.fresh2 * (g * g);
      const T update = step.first_scale * m[k] / (square_root(s[k]) * step.second_scale + step.epsilon);
      p[k] = shrink * p[k] - update;
    }
  }

  // 16 virtual lanes whatever the vector width: one order of summation for all variants.
  static double sum_of_squares(const T* values, index_t count) {
    constexpr int kLanes = 16;
    double lane[kLanes] = {};
    index_t k = 0;
    for (; k + kLanes <= count; k += kLanes) {
      for (int l = 0; l < kLanes; ++l)
        lane[l] += static_cast<double>(values[k + l]) * static_cast<double>(values[k + l]);
    }
    for (int l = 0; k < count; ++k, ++l)
      lane[l] += static_cast<double>(values[k]) * static_cast<double>(values[k]);
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
    }
    return lane[0];
  }

 private:
  template <class Step>
  static RNNFAST_INLINE T decayed(const Step& step, T gradient, T parameter) {
    return step.gradient_scale * gradient + step.weight_decay * parameter;
  }
};

}  // namespace rnnfast::RNNFAST_ISA
