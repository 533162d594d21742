// Stacked recurrent layers over whole sequences: what forward leaves for backward. y of all directions of a
// layer is the input of the next one. k numbers the directions of all layers, layer-major.
#pragma once

#include "base/parallel.hpp"
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

// The directions of a layer know nothing of each other. Side by side each has one thread, whose core's caches
// hold its weights alone, and none waits for the other before its end. So they run unless one of them makes
// use of more than two threads: by groups of samples, or by units of a step.
template <class T>
bool side_by_side(const api::RecurrentCall<T>& one, double operations, std::size_t directions) {
  const double steps = static_cast<double>(one.dims.steps);
  const double by_units = operations / steps / parallel::kOperationsBetweenBarriers;
  const bool many = one.threads > 2 && (one.dims.batch > 2 * api::kGroupRows || by_units > 2);
  return directions == 2 && !many && parallel::worthwhile_parts(one.threads, 2 * operations, 2) == 2;
}

// Room for the kernels of a layer's directions, before any of them runs.
template <class T, class Arguments>
void place_workspaces(Arguments* all, std::size_t directions, bool together,
                      index_t (*size)(const api::RecurrentDims&, int)) {
  index_t most = 0;  // of dims that differ by a mask at most
  for (std::size_t d = 0; d < directions; ++d) {
    if (together) all[d].call.threads = 1;
    most = std::max(most, size(all[d].call.dims, all[d].call.threads));
  }
  const index_t apart = together ? most : 0;
  T* const room = scratch<T>(most + apart);
  for (std::size_t d = 0; d < directions; ++d) all[d].workspace = room + static_cast<index_t>(d) * apart;
}

template <class Arguments>
void run_directions(const Arguments* all, std::size_t directions, bool together,
                    void (*kernel)(const Arguments&)) {
  const int count = static_cast<int>(directions);
  if (together) return parallel::for_each_part(count, [&](int d) { kernel(all[d]); });
  for (int d = 0; d < count; ++d) kernel(all[d]);
}

inline index_t tape_size(const RecurrentCall& call) { return call.tape_shape()[0] * call.tape_shape()[1]; }

template <class T>
py::object room_for_tapes(const py::object& memory, index_t count) {
  py::object values = memory.attr("take")(py::make_tuple(count), py::dtype::of<T>());
  if (!is_plain<T>(values.ptr(), std::array<index_t, 1>{count}))
    fail("memory", "must give what is asked for");
  return values;
}

// Gradients of stacked layers; those of the weights are added to `targets`.
py::tuple stack_backward(StackTape& tape, const OptionalArray& dy, const StatesByK& dstate, double bound,
                         bool with_reset_state, bool with_dx, const std::vector<Objects>& targets,
                         const Objects& weight_masks);

// Between two kernels a user may interrupt.
inline void check_signals() {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

}  // namespace rnnfast::python
