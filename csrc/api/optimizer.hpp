// Optimizer steps, fused over one flat buffer of all parameters: one pass, in place. Every gradient is read
// as g = gradient_scale * gradient (clipping by global norm) before anything else.
#pragma once

#include "api/conventions.hpp"

namespace rnnfast::api {

// g <- g + weight_decay p;  v <- momentum v + g (velocity starts at 0);  p <- p - rate (nesterov ? g +
// momentum v : v)
template <class T>
struct SgdStep {
  index_t count;
  T* parameter;       // [count]
  const T* gradient;  // [count]
  T* velocity;        // [count]; null: no momentum
  T rate, momentum, weight_decay, gradient_scale;
  bool nesterov;
};

// g <- g + weight_decay p;  s <- decay s + (1 - decay) g^2;  u = g / (sqrt(s) + epsilon);
// v <- momentum v + u;  p <- p - rate (velocity ? v : u)
template <class T>
struct RmspropStep {
  index_t count;
  T* parameter;
  const T* gradient;
  T* square_average;  // [count]
  T* velocity;        // [count]; null: no momentum
  // fresh = 1 - decay, rounded once from double: in float 1 - decay would be off by 1e-5 of itself
  T rate, decay, fresh, epsilon, momentum, weight_decay, gradient_scale;
};

// g <- g + weight_decay p (coupled) or p <- p (1 - rate weight_decay) (decoupled, AdamW);
// m <- beta1 m + (1 - beta1) g;  s <- beta2 s + (1 - beta2) g^2;
// p <- p - first_scale m / (sqrt(s) second_scale + epsilon)
// with first_scale = rate / (1 - beta1^step) and second_scale = 1 / sqrt(1 - beta2^step).
template <class T>
struct AdamStep {
  index_t count;
  T* parameter;
  const T* gradient;
  T* first_moment;   // [count]
  T* second_moment;  // [count]
  // fresh1 = 1 - beta1 and fresh2 = 1 - beta2, rounded once from double
  T rate, beta1, beta2, fresh1, fresh2, epsilon, weight_decay, gradient_scale, first_scale, second_scale;
  bool decoupled;
};

template <class T>
struct OptimizerKernels {
  void (*sgd)(const SgdStep<T>&);
  void (*rmsprop)(const RmspropStep<T>&);
  void (*adam)(const AdamStep<T>&);
  double (*sum_of_squares)(const T* values, index_t count);  // in float64, 16 virtual lanes
};

}  // namespace rnnfast::api
