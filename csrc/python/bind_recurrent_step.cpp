// One time step, or a block of them, of a stack of recurrent layers at inference, as a callable made once per
// version of the weights: what does not change from call to call is read when it is made. A call that is not
// plain, or finds that the weights have changed, returns None.
#include "python/recurrent_step.hpp"

namespace rnnfast::python {
namespace {

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
  step->kernel = &layers.front()->kernel<T>();
  step->states = layers.front()->facts().states;
  if (static_cast<int>(rates.size()) != step->states)
    fail("zoneout_rates", "must have a rate for every state");
  index_t inputs = layers.front()->inputs;
  for (const std::shared_ptr<PackedWeights>& weights : layers) {
    if (weights->is_double != std::is_same_v<T, double> || weights->cell != layers.front()->cell ||
        weights->variant != layers.front()->variant || weights->inputs != inputs ||
        weights->hidden != layers.front()->hidden || weights->projection != layers.front()->projection)
      fail("layers", "must fit together");
    typename StepOf<T>::Arguments layer{};
    api::RecurrentCall<T>& call = layer.call;
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
    step->widest = std::max(step->widest, weights->operations(1));
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
