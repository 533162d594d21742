// The arrays of the caller that the gradients of one direction's weights are added to.
#pragma once

#include <array>
#include <string>

#include "python/gradient_turn.hpp"
#include "python/recurrent_results.hpp"

namespace rnnfast::python {

// gradients: out. name: of `targets`, for errors. -> their memory
template <class T>
GradientSet place_targets(api::RecurrentGradients<T>& gradients, const PackedWeights& weights,
                          const Objects& targets, const std::string& name) {
  std::size_t next = 0;
  GradientSet own;
  gradients.accumulate = true;
  for_each_gradient(gradients, weights, [&](T*& place, bool wanted, auto... sizes) {
    if (!wanted) return;
    PyObject* const target = next < targets.size() ? targets[next].ptr() : Py_None;
    const std::array<index_t, sizeof...(sizes)> shape{sizes...};
    if (!is_plain<T>(target, shape) || !is_writable(target)) {
      fail(name + "[" + std::to_string(next) + "]",
           "must be a writable, contiguous array of the dtype of the weights and of shape " +
               shape_text(shape.data(), shape.size()) + ", in the order of RecurrentGradients, got " +
               (next < targets.size() ? description(targets[next]) : "none"));
    }
    place = data_of<T>(target);
    own.add(place, (index_t{1} * ... * sizes));
    ++next;
  });
  if (next != targets.size())
    fail(name, "must be " + std::to_string(next) + " arrays, got " + std::to_string(targets.size()));
  return own;
}

}  // namespace rnnfast::python
