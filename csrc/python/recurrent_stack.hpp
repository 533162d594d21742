// Stacked recurrent layers over whole sequences: what forward leaves for backward. y of all directions of a
// layer is the input of the next one. k numbers the directions of all layers, layer-major.
#pragma once

#include "python/recurrent_results.hpp"

namespace rnnfast::python {

using StackWeights = std::vector<std::shared_ptr<PackedWeights>>;
using StatesByK = std::optional<std::vector<Arrays>>;  // for each k one array, or none, per state

template <class Given>
void check_by_k(const char* name, const std::vector<Given>& given, std::size_t count) {
  if (given.size() != count)
    fail(name, "must be as many as there are weights, " + std::to_string(count) + ", got " +
                   std::to_string(given.size()));
}
template <class Given>
void check_by_k(const char* name, const std::optional<Given>& given, std::size_t count) {
  if (given) check_by_k(name, *given, count);
}

// Everything that forward is told, for each k or each layer.
struct Stack {
  StackWeights weights;
  std::vector<RecurrentSettings*> settings;
  StatesByK state, reset_state;
  OptionalArray lengths, resets;
  Objects input_masks;  // of every layer
  Arrays hidden_masks;
  bool time_major, return_states;

  std::size_t layers() const { return input_masks.size(); }
  std::size_t directions() const { return weights.size() / layers(); }

  void check() const {
    const std::size_t count = weights.size();
    if (count == 0 || layers() == 0 || count % layers() != 0 || directions() > 2)
      fail("weights", "must be of one or two directions of every layer");
    check_by_k("zoneout", settings, count);
    check_by_k("hidden_masks", hidden_masks, count);
    check_by_k("state", state, count);
    check_by_k("reset_state", reset_state, count);
    for (std::size_t k = 0; k < count; ++k) {
      if (!weights[k]) fail("weights", "must not be None");
      if (settings[k] == nullptr) fail("settings", "must not be None");
      const PackedWeights &own = *weights[k], &first = *weights.front();
      const std::string name = "weights[" + std::to_string(k) + "]";
      if (own.cell != first.cell || own.variant != first.variant || own.hidden != first.hidden ||
          own.projection != first.projection || own.is_double != first.is_double)
        fail(name, "must be of the cell, sizes and dtype of those before it, got " + own.description() +
                       " behind " + first.description());
      const index_t outputs = first.dims().outputs() * static_cast<index_t>(directions());
      const index_t inputs = k < directions() ? first.inputs : outputs;
      if (own.inputs != inputs)
        fail(name, "must have " + std::to_string(inputs) + " inputs, got " + own.description());
      if (settings[k]->recompute != settings.front()->recompute)
        fail("recompute", "must be the same for all");
    }
  }
};

// What one forward call leaves for one backward call.
struct StackTape {
  struct Direction {
    std::unique_ptr<RecurrentCall> call;
    OptionalArray checkpoints;
    index_t place = 0;  // of its tape
  };
  struct Layer {
    py::object input_mask, y;
  };
  std::vector<Direction> directions;  // by k; none once it is used
  std::vector<Layer> layers;
  py::object memory;  // gives room for tapes and takes it back
  py::object values;  // all tapes; none where backward makes them again, one at a time
  bool in_wave = false;
};

// A new array [N, T, F] that begins at a cache line, in memory [T, N, F] if time_major.
template <class T>
py::object new_sequence(index_t batch, index_t steps, index_t columns, bool time_major) {
  const index_t row = columns * static_cast<index_t>(sizeof(T));
  return new_array_at_cache_line<T>(
      {batch, steps, columns},
      {time_major ? row : steps * row, time_major ? batch * row : row, static_cast<index_t>(sizeof(T))});
}

// New arrays [K, N, size], one per state, and where the rows of k begin in them.
template <class T>
py::list new_states_of_all(const api::CellFacts& facts, const api::RecurrentDims& dims, std::size_t count) {
  py::list all;
  for (int s = 0; s < facts.states; ++s)
    all.append(
        new_array<T>(std::array<index_t, 3>{static_cast<index_t>(count), dims.batch, dims.state_size(s)}));
  return all;
}
template <class T>
void place_states(T* (&to)[api::kMostStates], const py::list& all, std::size_t k) {
  for (std::size_t s = 0; s < all.size(); ++s) {
    PyObject* const array = all[s].ptr();
    to[s] = data_of<T>(array) + static_cast<index_t>(k) * (size_of(array) / fields(array)->dimensions[0]);
  }
}

// The columns of one direction of y or its gradient.
template <class Value>
api::Sequence<Value> of_direction(api::Sequence<Value> y, std::size_t direction,
                                  const api::RecurrentDims& dims) {
  return {y.data + static_cast<index_t>(direction) * dims.outputs(), y.batch_stride, y.time_stride};
}

inline index_t tape_size(const RecurrentCall& call) { return call.tape_shape()[0] * call.tape_shape()[1]; }

template <class T>
py::object room_for_tapes(const py::object& memory, index_t count) {
  py::object values = memory.attr("take")(py::make_tuple(count), py::dtype::of<T>());
  if (!is_plain<T>(values.ptr(), Flat{count})) fail("memory", "must give what is asked for");
  return values;
}

// Gradients of stacked layers; those of the weights are added to `targets`.
py::tuple stack_backward(StackTape& tape, const OptionalArray& dy, const StatesByK& dstate, double bound,
                         bool with_reset_state, bool with_dx, const std::vector<Objects>& targets,
                         const Objects& weight_masks);

// Between two layers a user may interrupt, or behind a wave of them.
inline void check_signals() {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

}  // namespace rnnfast::python
