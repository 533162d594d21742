// The extension module rnnfast._core: a list of topics, one file each. Only rnnfast.ops and rnnfast.backend
// call it.
#include <pybind11/pybind11.h>

namespace rnnfast::python {
void bind_backend(pybind11::module_& module);
void bind_recurrent(pybind11::module_& module);
void bind_recurrent_weights(pybind11::module_& module);
void bind_recurrent_step(pybind11::module_& module);
void bind_recurrent_stack(pybind11::module_& module);
void bind_memory(pybind11::module_& module);
void bind_linear(pybind11::module_& module);
void bind_loss(pybind11::module_& module);
void bind_optimizer(pybind11::module_& module);
void bind_conv1d(pybind11::module_& module);
void bind_wavenet(pybind11::module_& module);
void bind_rows(pybind11::module_& module);
void bind_attention(pybind11::module_& module);
}  // namespace rnnfast::python

PYBIND11_MODULE(_core, module) {
  module.doc() = "Kernels of rnnfast; use rnnfast.ops.";
  rnnfast::python::bind_backend(module);
  rnnfast::python::bind_recurrent(module);
  rnnfast::python::bind_recurrent_weights(module);
  rnnfast::python::bind_recurrent_step(module);
  rnnfast::python::bind_recurrent_stack(module);
  rnnfast::python::bind_memory(module);
  rnnfast::python::bind_linear(module);
  rnnfast::python::bind_loss(module);
  rnnfast::python::bind_optimizer(module);
  rnnfast::python::bind_conv1d(module);
  rnnfast::python::bind_wavenet(module);
  rnnfast::python::bind_rows(module);
  rnnfast::python::bind_attention(module);
}
