// Linear layers over the last axis.
#include <pybind11/stl.h>

#include "backend/registry.hpp"
#include "base/parallel.hpp"
#include "python/plain_array.hpp"

namespace rnnfast::python {
namespace {

// Rows of an array whose last axis is `columns`, all other axes together.
index_t rows_of(const py::array& array, index_t columns, const char* name) {
  if (array.ndim() < 1 || array.shape(array.ndim() - 1) != columns) fail(name, "must have another last axis");
  index_t rows = 1;
  for (py::ssize_t axis = 0; axis + 1 < array.ndim(); ++axis) rows *= array.shape(axis);
  return rows;
}

// A C-contiguous input of any number of axes.
template <class T>
const T* whole_input(const py::array& array, const char* name) {
  check_dtype<T>(array, name);
  if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) != 0) fail(name, "must be aligned");
  if (!(array.flags() & py::array::c_style)) fail(name, "must be C-contiguous");
  return static_cast<const T*>(array.data());
}

double operations(index_t rows, index_t inputs, index_t outputs) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(inputs) * static_cast<double>(outputs);
}

// -> y
py::object linear_forward(const py::array& x, const py::array& weight, const OptionalArray& bias) {
  if (weight.ndim() != 2) fail("weight", "must have two axes");
  return by_dtype(x, "x", [&](auto zero) -> py::object {
    using T = decltype(zero);
    const index_t inputs = weight.shape(1), outputs = weight.shape(0), rows = rows_of(x, inputs, "x");
    const api::LinearKernels<T>& kernel = backend::table<T>().linear;
    py::object y = new_array_like<T>(x, outputs);
    const api::LinearForward<T> arguments{rows,
                                          inputs,
                                          outputs,
                                          parallel::thread_count(),
                                          whole_input<T>(x, "x"),
                                          input<T>(weight, Matrix{outputs, inputs}, "weight"),
                                          input<T>(bias, Flat{outputs}, "bias"),
                                          data_of<T>(y.ptr()),
                                          scratch<T>(kernel.forward_workspace(rows, inputs, outputs))};
    without_interpreter(operations(rows, inputs, outputs), [&] { kernel.forward(arguments); });
    return y;
  });
}

// -> (dx, dweight, dbias or None)
py::tuple linear_backward(const py::array& x, const py::array& weight, const py::array& dy, bool with_bias) {
  if (weight.ndim() != 2) fail("weight", "must have two axes");
  return by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const index_t inputs = weight.shape(1), outputs = weight.shape(0), rows = rows_of(x, inputs, "x");
    if (dy.ndim() != x.ndim() || rows_of(dy, outputs, "dy") != rows ||
        !std::equal(x.shape(), x.shape() + x.ndim() - 1, dy.shape()))
      fail("dy", "must be of as many rows as x");
    const int threads = parallel::thread_count();
    const api::LinearKernels<T>& kernel = backend::table<T>().linear;
    const py::object dx = new_array_like<T>(x, inputs);
    const py::object dweight = new_array<T>(Matrix{outputs, inputs});
    const py::object dbias = with_bias ? new_array<T>(Flat{outputs}) : py::none();
    const api::LinearBackward<T> arguments{
        rows,
        inputs,
        outputs,
        threads,
        whole_input<T>(x, "x"),
        input<T>(weight, Matrix{outputs, inputs}, "weight"),
        whole_input<T>(dy, "dy"),
        data_of<T>(dx.ptr()),
        data_of<T>(dweight.ptr()),
        with_bias ? data_of<T>(dbias.ptr()) : nullptr,
        scratch<T>(kernel.backward_workspace(rows, inputs, outputs, threads))};
    without_interpreter(2 * operations(rows, inputs, outputs), [&] { kernel.backward(arguments); });
    return py::make_tuple(dx, dweight, dbias);
  });
}

}  // namespace

void bind_linear(py::module_& module) {
  using py::arg;
  module.def("linear_forward", &linear_forward, arg("x"), arg("weight"), arg("bias"));
  module.def("linear_backward", &linear_backward, arg("x"), arg("weight"), arg("dy"), arg("with_bias"));
}

}  // namespace rnnfast::python
