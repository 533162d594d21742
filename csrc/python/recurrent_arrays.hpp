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

template <class T>
const api::RecurrentKernels<T>& recurrent_kernels(int cell) {
  if constexpr (std::is_same_v<T, float>) {
    return backend::active().float32.recurrent[cell];
  } else {
    return backend::active().float64.recurrent[cell];
  }
}

// The entry `name`, or nothing where it is absent or None.
OptionalArray entry(const py::dict& arrays, const char* name);

// What ops says of a call besides its arrays.
struct Settings {
  bool reverse;
  api::LayerNorm layer_norm;
  index_t segment;
  std::vector<double> zoneout_rates;
  bool zoneout_training;
  std::vector<api::RandomKey> zoneout_keys;
};
api::LayerNorm read_layer_norm(const std::string& name);
Settings read_settings(const py::dict& settings, int states);

// Weights that act on single units, or the places of their gradients. T const: inputs, else outputs.
template <class T>
api::UnitWeights<T> unit_weights(const py::dict& arrays, const api::CellFacts& facts,
                                 const api::RecurrentDims& dims) {
  const auto read = [&](const char* name, index_t size, bool wanted) -> T* {
    const OptionalArray array = entry(arrays, name);
    if (array.has_value() != wanted) fail(name, wanted ? "must be given" : "must be absent");
    if constexpr (std::is_const_v<T>) {
      return input<std::remove_const_t<T>>(array, std::array<index_t, 1>{size}, name);
    } else {
      return output<T>(array, std::array<index_t, 1>{size}, name);
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
  if (static_cast<int>(arrays.size()) != facts.states) fail(name, "has the wrong number of states");
  for (int s = 0; s < facts.states; ++s)
    to[s] = convert(arrays[static_cast<std::size_t>(s)], dims.state_size(s));
}

// Sizes of one call, and what forward and backward of it agree on.
template <class T>
api::RecurrentCall<T> read_call(int cell, const Settings& settings, index_t hidden, index_t projection,
                                const py::array& x, const Arrays& state, const Arrays& reset_state,
                                const py::dict& options, const py::array& packed) {
  const api::CellFacts& facts = cell_facts(cell);
  if (x.ndim() != 3) fail("x", "must have three axes (N, T, I)");
  if (projection < 0 || (projection > 0 && !facts.output_state)) fail("projection", "is not for this cell");
  if ((settings.layer_norm == api::LayerNorm::kSplit && !facts.split_norm) ||
      (settings.layer_norm == api::LayerNorm::kJoint && !facts.joint_norm))
    fail("layer_norm", "is not for this cell");
  api::RecurrentCall<T> call{};
  const OptionalArray mask = entry(options, "hidden_mask"), lengths = entry(options, "lengths"),
                      resets = entry(options, "resets");
  call.dims = {x.shape(0), x.shape(1),          x.shape(2),       hidden,
               projection, settings.layer_norm, mask.has_value(), settings.segment};
  const api::RecurrentDims& dims = call.dims;
  if (dims.segment < 1) fail("segment", "must be positive");
  call.reverse = settings.reverse;
  call.threads = parallel::thread_count();
  call.x = input_sequence<T>(x, {dims.batch, dims.steps, dims.inputs}, "x");
  fill_states(call.state, state, facts, dims, "state", [&](const OptionalArray& array, index_t size) {
    return input<T>(array, std::array<index_t, 2>{dims.batch, size}, "state");
  });
  fill_states(call.reset_state, reset_state, facts, dims, "reset_state",
              [&](const OptionalArray& array, index_t size) {
                return input<T>(array, std::array<index_t, 1>{size}, "reset_state");
              });
  if (lengths) {
    call.lengths = input<std::int64_t>(*lengths, std::array<index_t, 1>{dims.batch}, "lengths");
    for (index_t n = 0; n < dims.batch; ++n) {
      if (call.lengths[n] < 0 || call.lengths[n] > dims.steps) fail("lengths", "must be in 0 … T");
    }
  }
  if (resets) {
    check_shape<bool>(*resets, std::array<index_t, 2>{dims.batch, dims.steps}, "resets");
    call.resets = {static_cast<const bool*>(resets->data()), resets->strides(0), resets->strides(1)};
  }
  call.hidden_mask = input<T>(mask, std::array<index_t, 2>{dims.batch, dims.outputs()}, "hidden_mask");
  for (std::size_t s = 0; s < settings.zoneout_rates.size(); ++s) {
    call.zoneout.rate[s] = settings.zoneout_rates[s];
    call.zoneout.key[s] = settings.zoneout_keys[s];
  }
  call.zoneout.training = settings.zoneout_training;
  call.unit = unit_weights<const T>(options, facts, dims);
  call.packed = input<T>(
      packed,
      std::array<index_t, 1>{recurrent_kernels<T>(cell).forward_packed_size(dims.inputs, hidden, projection)},
      "packed");
  return call;
}

}  // namespace rnnfast::python
