// One time step, or a block of them, of a stack of recurrent layers at inference, as a callable made once per
// version of the weights: what does not change from call to call is read when it is made. A call that is not
// plain, or finds that the weights have changed, returns None.
#include "python/fast_call.hpp"
#include "python/plain_array.hpp"
#include "python/recurrent_call.hpp"

namespace rnnfast::python {
namespace {

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
  struct Layer {
    const api::RecurrentKernels<T>* kernel;
    api::RecurrentForward<T> arguments;  // all but the arrays of a call
  };
  static constexpr index_t kSize = sizeof(T);
  std::vector<Layer> layers;
  int states = 0;
  double operations = 0;  // per sample and step

  // x is a step [N, I] or a block of steps [N, B, I]; y has as many axes. in_place: the next state goes into
  // the arrays of `state`, at last, as x may share memory with them.
  PyObject* run(PyObject* x, PyObject* state, bool block, bool in_place) override {
    const api::RecurrentDims& first = layers.front().arguments.call.dims;
    const api::RecurrentDims& last = layers.back().arguments.call.dims;
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
                   : new_array<T>(std::array<index_t, 2>{batch, last.outputs()});
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
    for (std::size_t k = 0; k < count; ++k) {
      api::RecurrentForward<T> arguments = layers[k].arguments;
      api::RecurrentDims& dims = arguments.call.dims;
      dims.batch = batch;
      dims.steps = steps;
      dims.segment = steps > 0 ? steps : 1;
      arguments.call.threads = parallel::thread_count();
      arguments.call.x = x;
      for (int s = 0; s < states; ++s) {
        const index_t rows = static_cast<index_t>(k) * batch * dims.state_size(s);
        arguments.call.state[s] = before == nullptr ? nullptr : before[s] + rows;
        arguments.final_state[s] = after[s] + rows;
      }
      T* const h = k + 1 == count ? y : steps == 1 ? arguments.final_state[0] : below[k % 2];
      arguments.y = {h, steps * dims.outputs(), dims.outputs()};
      const api::RecurrentKernels<T>& kernel = *layers[k].kernel;
      arguments.workspace = scratch<T>(kernel.forward_workspace(dims, arguments.call.threads));
      kernel.forward(arguments);
      x = {arguments.y.data, arguments.y.batch_stride, arguments.y.time_stride};
    }
  }
};

// step(x, state, block=False, unchanged=False, in_place=False) -> (y, state), or None. block: x is a block of
// steps; unchanged: the guards need not be asked; in_place: -> y, or None.
PyObject* call(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
  Step* const step = static_cast<Step*>(PyCapsule_GetPointer(self, nullptr));
  if (step == nullptr) return nullptr;
  bool block = false, unchanged = false, in_place = false;
  if (count != 2 || !read_flags(names, arguments + count,
                                {{"block", &block}, {"unchanged", &unchanged}, {"in_place", &in_place}}))
    return PyErr_Format(PyExc_TypeError, "_core: step takes x, state, block=, unchanged= and in_place=");
  return guarded([&]() -> PyObject* {
    bool fresh = unchanged || step->variant == &backend::active();
    for (std::size_t g = 0; !unchanged && fresh && g < step->guards.size(); ++g)
      fresh = step->guards[g].holds();
    PyObject* const result = fresh ? step->run(arguments[0], arguments[1], block, in_place) : nullptr;
    return result != nullptr || PyErr_Occurred() != nullptr ? result : Py_NewRef(Py_None);
  });
}

using Layers = std::vector<std::shared_ptr<PackedWeights>>;

template <class T>
std::unique_ptr<Step> make(const Layers& layers, const std::vector<double>& rates) {
  auto step = std::make_unique<StepOf<T>>();
  step->states = layers.front()->facts().states;
  if (static_cast<int>(rates.size()) != step->states)
    fail("zoneout_rates", "must have a rate for every state");
  index_t inputs = layers.front()->inputs;
  for (const std::shared_ptr<PackedWeights>& weights : layers) {
    if (weights->is_double != std::is_same_v<T, double> || weights->facts().states != step->states ||
        weights->inputs != inputs || weights->hidden != layers.front()->hidden ||
        weights->projection != layers.front()->projection)
      fail("layers", "must fit together");
    typename StepOf<T>::Layer layer{&weights->kernel<T>(), {}};
    api::RecurrentCall<T>& call = layer.arguments.call;
    call.dims = weights->dims();
    call.dims.steps = 1;
    for (int s = 0; s < step->states; ++s) {
      const double rate = rates[static_cast<std::size_t>(s)];
      if (!(rate >= 0 && rate < 1)) fail("zoneout_rates", "must be in [0, 1)");
      call.zoneout.rate[s] = rate;
    }
    call.unit = std::get<api::UnitWeights<const T>>(weights->unit);
    call.packed = static_cast<const T*>(weights->forward().data());
    step->operations += weights->operations(1);
    step->layers.push_back(layer);
    inputs = call.dims.outputs();
  }
  return step;
}

py::object recurrent_stepper(const Layers& layers, const std::vector<double>& zoneout_rates,
                             bool trainable_state, const py::list& guards) {
  if (layers.empty()) fail("layers", "must be one or more");
  std::unique_ptr<Step> step =
      layers.front()->is_double ? make<double>(layers, zoneout_rates) : make<float>(layers, zoneout_rates);
  step->variant = layers.front()->variant;
  step->weights = layers;
  step->trainable_state = trainable_state;
  for (const py::handle& guard : guards) {
    const auto pair = guard.cast<py::tuple>();
    step->guards.push_back({pair[0], pair[1]});
  }
  const auto function = reinterpret_cast<void (*)()>(&call);
  static PyMethodDef method = {"recurrent_step", reinterpret_cast<PyCFunction>(function),
                               METH_FASTCALL | METH_KEYWORDS,
                               "step(x, state, **flags) -> (y, state), y or None"};
  const py::capsule self(step.release(), [](void* pointer) { delete static_cast<Step*>(pointer); });
  return py::reinterpret_steal<py::object>(PyCFunction_New(&method, self.ptr()));
}

}  // namespace

void bind_recurrent_step(py::module_& module) {
  using py::arg;
  module.attr("most_block_rows") = kMostBlockRows;
  module.def("recurrent_stepper", &recurrent_stepper, py::kw_only(), arg("layers"), arg("zoneout_rates"),
             arg("trainable_state"), arg("guards"));
}

}  // namespace rnnfast::python
