// Losses that are a mean over elements, and their gradients, in one pass.
#pragma once

#include "api/conventions.hpp"

namespace rnnfast::api {

// Terms of an element, d = prediction - target, and their derivatives by the prediction.
enum class ElementLoss {
  kSquared,   // d^2; 2 d
  kAbsolute,  // |d|; the sign of d
  kHuber,     // s (d - s / 2) with s = d within ± parameter; s
  kQuantile,  // max(-q d, (1 - q) d) with q the parameter; 1 - q where d > 0, -q where d < 0, 0 between
};

template <class T>
struct ElementLossSum {
  ElementLoss loss;
  T parameter;
  index_t count;
  const T* prediction;  // [count]
  const T* target;      // [count]
  const bool* mask;     // [count], false: the element does not count, its slope is 0; null: all do
  T* slopes;            // out: [count] derivatives times scale; null: not wanted
  T scale;
};

template <class T>
struct LossKernels {
  double (*element_sum)(const ElementLossSum<T>&);  // of the terms
};

}  // namespace rnnfast::api
