// Activations over arrays, and the arithmetic peak of one core: the yardsticks of accuracy and speed.
#pragma once

#include "api/activation.hpp"
#include "base/denormals.hpp"
#include "math/activations.hpp"
#include "math/tile.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T, class Function>
RNNFAST_INLINE void map(const T* x, T* y, index_t count, Function&& function) {
  const FlushDenormals flush;
  constexpr index_t kLanes = Vec<T>::kLanes;
  for (index_t k = 0; k < count; k += kLanes) {
    const index_t present = count - k < kLanes ? count - k : kLanes;
    store_first(function(load_first(x + k, present)), y + k, present);
  }
}

template <class T>
struct ActivationPass {
  static void sigmoid(const T* x, T* y, index_t count) {
    map(x, y, count, [](Vec<T> v) { return RNNFAST_ISA::sigmoid(v); });
  }
  static void tanh(const T* x, T* y, index_t count) {
    map(x, y, count, [](Vec<T> v) { return RNNFAST_ISA::tanh(v); });
  }
  static void relu(const T* x, T* y, index_t count) {
    map(x, y, count, [](Vec<T> v) { return RNNFAST_ISA::relu(v); });
  }

  static double peak(index_t repeats, T* sink) {
    using V = Vec<T>;
    constexpr int kChains = kTileSums;  // more than latency times throughput of any core
    V sum[kChains];
    RNNFAST_UNROLL
    for (int c = 0; c < kChains; ++c) sum[c] = V::broadcast(static_cast<T>(c));
    V a = V::broadcast(sink[0]), b = V::broadcast(sink[1]);
    for (index_t k = 0; k < repeats; ++k) {
      RNNFAST_UNROLL
      for (int c = 0; c < kChains; ++c) sum[c] = fma(sum[c], a, b);
    }
    V total = V::zero();
    RNNFAST_UNROLL
    for (int c = 0; c < kChains; ++c) total = total + sum[c];
    store_first(total, sink, 1);
    return 2.0 * kChains * V::kLanes * static_cast<double>(repeats);
  }
};

}  // namespace rnnfast::RNNFAST_ISA
