// What the bindings of several layers take in the same way.
#pragma once

#include <string>

#include "api/activation.hpp"
#include "python/array.hpp"

namespace rnnfast::python {

inline api::Activation activation_of(const std::string& name) {
  if (name == "none") return api::Activation::kNone;
  if (name == "relu") return api::Activation::kRelu;
  if (name == "tanh") return api::Activation::kTanh;
  if (name == "sigmoid") return api::Activation::kSigmoid;
  fail("activation", "must be none, relu, tanh or sigmoid, got " + name);
}

// Row numbers [rows], each in 0 … count - 1.
inline const std::int64_t* indices(const py::array& array, index_t rows, index_t count) {
  const std::int64_t* const index = input<std::int64_t>(array, Flat{rows}, "index");
  for (index_t r = 0; r < rows; ++r) {
    if (index[r] < 0 || index[r] >= count)
      fail("index", "must be in 0 … " + std::to_string(count - 1) + ", got " + std::to_string(index[r]));
  }
  return index;
}

}  // namespace rnnfast::python
