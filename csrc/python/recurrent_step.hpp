// One time step, or a block of them, of a stack of recurrent layers at inference: what a call of the stepper
// does (bind_recurrent_step.cpp).
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "python/fast_call.hpp"
#include "python/plain_array.hpp"
#include "python/recurrent_call.hpp"
#include "python/stack_kernels.hpp"

namespace rnnfast::python {

// Up to so many rows a call at inference is taken as a block: what that saves, tens of µs, is then a part of
// the time worth having. Arrays of larger calls begin at cache lines.
constexpr index_t kMostBlockRows = 1024;

struct Step {
  const api::Variant* variant;
  std::vector<Guard> guards;
  std::vector<std::shared_ptr<PackedWeights>> weights;
  bool trainable_state;
  virtual ~Step() = default;
  virtual PyObject* run(PyObject* x, PyObject* state, bool block, bool in_place) = 0;
};

template <class T>
struct StepOf final : Step {
  using Arguments = api::RecurrentForward<T>;
  static constexpr index_t kSize = sizeof(T);
  const api::RecurrentKernels<T>* kernel = nullptr;
  std::vector<Arguments> layers;  // all but the arrays of a call
  int states = 0;
  double operations = 0, widest = 0;  // operations per sample and step: of all layers, of one at most

  // x is a step [N, I] or a block of steps [N, B, I]; y has as many axes. in_place: the next state goes into
  // the arrays of `state`, at last, as x may share memory with them.
  PyObject* run(PyObject* x, PyObject* state, bool block, bool in_place) override {
    const api::RecurrentDims& first = layers.front().call.dims;
    const api::RecurrentDims& last = layers.back().call.dims;
    if (!is_rows<T>(x, block ? 3 : 2, first.inputs)) return nullptr;
    const index_t batch = fields(x)->dimensions[0], count = static_cast<index_t>(layers.size());
    const index_t steps = block ? fields(x)->dimensions[1] : 1;
    if (block && batch * steps > kMostBlockRows) return nullptr;
    const bool fresh = state == Py_None && !in_place;
    if (fresh ? trainable_state
              : states > 1 && !(PyTuple_CheckExact(state) && PyTuple_GET_SIZE(state) == states))
      return nullptr;
    T* before[api::kMostStates] = {};
    for (int s = 0; s < states && !fresh; ++s) {
      PyObject* const part = states > 1 ? PyTuple_GET_ITEM(state, s) : state;
      if (!is_plain<T>(part, std::array<index_t, 3>{count, batch, last.state_size(s)})) return nullptr;
      if (in_place && !is_writable(part)) return nullptr;
      before[s] = data_of<T>(part);
    }
    if (in_place && states > 1 && shared(before, count * batch, last)) return nullptr;
    const auto rows = [&] {
      return block ? new_array<T>(std::array<index_t, 3>{batch, steps, last.outputs()})
                   : new_array<T>(Matrix{batch, last.outputs()});
    };
    // Layers below the last write y by turns into two arrays that nobody else sees; of one step it is h.
    const index_t turns = steps == 1 ? 0 : count - 1;
    const py::object y = rows(),
                     between[2] = {turns > 0 ? rows() : py::object(), turns > 1 ? rows() : py::object()};
    T* const below[2] = {turns > 0 ? data_of<T>(between[0].ptr()) : nullptr,
                         turns > 1 ? data_of<T>(between[1].ptr()) : nullptr};
    py::object next[api::kMostStates];
    T* after[api::kMostStates] = {};
    for (int s = 0; s < states; ++s) {
      next[s] = new_array<T>(std::array<index_t, 3>{count, batch, last.state_size(s)});
      after[s] = data_of<T>(next[s].ptr());
    }
    const index_t time_stride = block ? fields(x)->strides[1] / kSize : 0;
    without_interpreter(operations * static_cast<double>(batch * steps), [&] {
      run_layers(batch, steps, {data_of<T>(x), fields(x)->strides[0] / kSize, time_stride},
                 fresh ? nullptr : before, after, below, data_of<T>(y.ptr()));
    });
    if (in_place) {
      for (int s = 0; s < states; ++s) std::copy_n(after[s], count * batch * last.state_size(s), before[s]);
      return Py_NewRef(y.ptr());
    }
    if (states == 1) return PyTuple_Pack(2, y.ptr(), next[0].ptr());
    const py::object all = py::reinterpret_steal<py::object>(PyTuple_New(states));
    if (!all) throw py::error_already_set();
    for (int s = 0; s < states; ++s) PyTuple_SET_ITEM(all.ptr(), s, next[s].release().ptr());
    return PyTuple_Pack(2, y.ptr(), all.ptr());
  }

  // Whether h and c, so many rows of each, lie in the same memory: one would overwrite the other.
  static bool shared(T* const* states, index_t rows, const api::RecurrentDims& dims) {
    const auto end = [&](int s) { return states[s] + rows * dims.state_size(s); };
    return states[0] < end(1) && states[1] < end(0);
  }

  void run_layers(index_t batch, index_t steps, api::Sequence<const T> x, const T* const* before,
                  T* const* after, T* const* below, T* y) {
    const std::size_t count = layers.size();
    const int threads = parallel::thread_count();
    // The next layer; x becomes its output. In a wave, too, two places serve all: who writes to one again
    // waits for who reads it.
    const auto prepare = [&](std::size_t k) {
      Arguments arguments = layers[k];
      api::RecurrentDims& dims = arguments.call.dims;
      dims.batch = batch;
      dims.steps = steps;
      dims.segment = steps > 0 ? steps : 1;
      arguments.call.threads = threads;
      arguments.call.x = x;
      for (int s = 0; s < states; ++s) {
        const index_t rows = static_cast<index_t>(k) * batch * dims.state_size(s);
        arguments.call.state[s] = before == nullptr ? nullptr : before[s] + rows;
        arguments.final_state[s] = after[s] + rows;
      }
      T* const h = k + 1 == count ? y : steps == 1 ? arguments.final_state[0] : below[k % 2];
      arguments.y = {h, steps * dims.outputs(), dims.outputs()};
      x = {h, arguments.y.batch_stride, arguments.y.time_stride};
      return arguments;
    };
    const double rows = static_cast<double>(batch * steps);
    if (count > 1 && steps > 1 && suits_wave(batch, threads, widest, operations * rows)) {
      std::vector<Arguments> all;
      std::vector<Arguments*> ready;
      for (std::size_t k = 0; k < count; ++k) all.push_back(prepare(k));
      for (Arguments& own : all) ready.push_back(&own);
      return StackKernels<T, Arguments>(std::move(ready), StackOrder::kInWave, kernel->forward,
                                        kernel->forward_workspace)
          .run();
    }
    for (std::size_t k = 0; k < count; ++k) {
      Arguments arguments = prepare(k);
      arguments.workspace = scratch<T>(kernel->forward_workspace(arguments.call.dims, threads));
      kernel->forward(arguments);
    }
  }
};

}  // namespace rnnfast::python
