// From the dictionaries of arrays that ops passes for one recurrent layer to the structs of
// api/recurrent.hpp.
#pragma once

#include <pybind11/stl.h>

#include <vector>

#include "backend/registry.hpp"
#include "base/parallel.hpp"
#include "python/array.hpp"

namespace rnnfast::python {

using Arrays = std::vector<OptionalArray>;

const api::CellFacts& cell_facts(int cell);

// The entry `name`, or nothing where it is absent or None.
OptionalArray entry(const py::dict& arrays, const char* name);

api::LayerNorm read_layer_norm(const std::string& name);

// The projection and the layer norm must be of those that the cell has.
void check_options(const api::RecurrentDims& dims, const api::CellFacts& facts);

// Weights that act on single units, or the places of their gradients. T const: inputs, else outputs.
template <class T>
api::UnitWeights<T> unit_weights(const py::dict& arrays, const api::CellFacts& facts,
                                 const api::RecurrentDims& dims) {
  const auto read = [&](const char* name, index_t size, bool wanted) -> T* {
    const OptionalArray array = entry(arrays, name);
    if (array.has_value() != wanted) fail(name, wanted ? "must be given" : "must be absent");
    if constexpr (std::is_const_v<T>) {
      return input<std::remove_const_t<T>>(array, Flat{size}, name);
    } else {
      return output<T>(array, Flat{size}, name);
    }
  };
  const bool split = dims.layer_norm == api::LayerNorm::kSplit,
             joint = dims.layer_norm == api::LayerNorm::kJoint;
  const index_t rows = facts.gates * dims.hidden;
  return {read("weight_ch", facts.unit_weights * dims.hidden, facts.unit_weights > 0),
          read("gamma_ih", rows, split),
          read("gamma_hh", rows, split),
          read("gamma", rows, joint),
          read("beta", rows, joint),
          read("gamma_c", dims.hidden, split && facts.output_state),
          read("beta_c", dims.hidden, split && facts.output_state)};
}

// One array per state: [N, size] inputs or outputs, by `convert(array, size)`.
template <class Pointer, class Convert>
void fill_states(Pointer (&to)[api::kMostStates], const Arrays& arrays, const api::CellFacts& facts,
                 const api::RecurrentDims& dims, const char* name, Convert&& convert) {
  if (static_cast<int>(arrays.size()) != facts.states)
    fail(name, "must have one array per state, " + std::to_string(facts.states) + ", got " +
                   std::to_string(arrays.size()));
  for (int s = 0; s < facts.states; ++s)
    to[s] = convert(arrays[static_cast<std::size_t>(s)], dims.state_size(s));
}

}  // namespace rnnfast::python
