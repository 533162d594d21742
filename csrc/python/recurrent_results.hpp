// New arrays for what calls of recurrent layers return.
#pragma once

#include "python/plain_array.hpp"
#include "python/recurrent_call.hpp"

namespace rnnfast::python {

// New arrays [N, size], one per state, whose memory goes to `to`.
template <class T>
py::tuple new_states(T* (&to)[api::kMostStates], const api::CellFacts& facts,
                     const api::RecurrentDims& dims) {
  py::tuple states(static_cast<std::size_t>(facts.states));
  for (int s = 0; s < facts.states; ++s) {
    py::object state = new_array<T>(Matrix{dims.batch, dims.state_size(s)});
    to[s] = data_of<T>(state.ptr());
    PyTuple_SET_ITEM(states.ptr(), s, state.release().ptr());
  }
  return states;
}

// give(place, whether there is one, sizes…) for the gradient of every weight, in the order of
// ops.RecurrentGradients.
template <class T, class Give>
void for_each_gradient(api::RecurrentGradients<T>& places, const PackedWeights& weights, Give&& give) {
  const api::RecurrentDims dims = weights.dims();
  const api::CellFacts& facts = weights.facts();
  const index_t rows = facts.gates * dims.hidden;
  const auto& unit = std::get<api::UnitWeights<const T>>(weights.unit);
  give(places.dweight_ih, true, rows, dims.inputs);
  give(places.dweight_hh, true, rows, dims.outputs());
  give(places.dbias_ih, weights.with_bias(), rows);
  give(places.dbias_hh, weights.with_bias(), rows);
  give(places.unit.weight_ch, unit.weight_ch != nullptr, facts.unit_weights * dims.hidden);
  give(places.dweight_hr, dims.projection > 0, dims.projection, dims.hidden);
  give(places.unit.gamma_ih, unit.gamma_ih != nullptr, rows);
  give(places.unit.gamma_hh, unit.gamma_hh != nullptr, rows);
  give(places.unit.gamma_c, unit.gamma_c != nullptr, dims.hidden);
  give(places.unit.beta_c, unit.beta_c != nullptr, dims.hidden);
  give(places.unit.gamma, unit.gamma != nullptr, rows);
  give(places.unit.beta, unit.beta != nullptr, rows);
}

// New arrays for them, None where there is none.
template <class T>
py::tuple new_gradients(api::RecurrentGradients<T>& places, const PackedWeights& weights) {
  py::tuple all(12);
  int next = 0;
  for_each_gradient(places, weights, [&](T*& place, bool wanted, auto... sizes) {
    py::object array = py::none();
    if (wanted) {
      array = new_array<T>(std::array<index_t, sizeof...(sizes)>{sizes...});
      place = data_of<T>(array.ptr());
    }
    PyTuple_SET_ITEM(all.ptr(), next++, array.release().ptr());
  });
  return all;
}

}  // namespace rnnfast::python
