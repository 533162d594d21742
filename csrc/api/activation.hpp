// The activations that layers apply, and those of math/ over plain arrays, so that their accuracy can be
// measured from outside.
#pragma once

#include "api/conventions.hpp"

namespace rnnfast::api {

// What a layer applies to its result in the same pass.
enum class Activation { kNone, kRelu, kTanh, kSigmoid };

template <class T>
struct ActivationKernels {
  // x [count] -> y [count]
  void (*sigmoid)(const T* x, T* y, index_t count);
  void (*tanh)(const T* x, T* y, index_t count);
  void (*relu)(const T* x, T* y, index_t count);
  // Runs `repeats` rounds of independent FMAs that fill the pipes; returns the number of floating point
  // operations done.
  double (*peak)(index_t repeats, T* sink);
};

}  // namespace rnnfast::api
