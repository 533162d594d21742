// The activation that a layer applies to its result, and its derivative written from the result.
#pragma once

#include "api/activation.hpp"
#include "math/activations.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
RNNFAST_INLINE Vec<T> activate(api::Activation activation, Vec<T> v) {
  switch (activation) {
    case api::Activation::kRelu:
      return relu(v);
    case api::Activation::kTanh:
      return tanh(v);
    case api::Activation::kSigmoid:
      return sigmoid(v);
    default:
      return v;
  }
}

// The gradient of v, from y = activate(v) and its gradient.
template <class T>
RNNFAST_INLINE Vec<T> activation_gradient(api::Activation activation, Vec<T> y, Vec<T> dy) {
  const Vec<T> one = Vec<T>::broadcast(1);
  switch (activation) {
    case api::Activation::kRelu:
      return where_positive(y, dy);
    case api::Activation::kTanh:
      return dy * (one - y * y);
    case api::Activation::kSigmoid:
      return dy * (y * (one - y));
    default:
      return dy;
  }
}

}  // namespace rnnfast::RNNFAST_ISA
