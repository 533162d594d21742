// Linear layers over rows.
#include <pybind11/stl.h>

#include "backend/registry.hpp"
#include "base/parallel.hpp"
#include "python/array.hpp"

namespace rnnfast::python {
namespace {

void forward(const py::array& x, const py::array& weight, const OptionalArray& bias, const py::array& y) {
  if (x.ndim() != 2 || weight.ndim() != 2) fail("x, weight", "must have two axes");
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const index_t rows = x.shape(0), inputs = x.shape(1), outputs = weight.shape(0);
    const api::LinearKernels<T>& kernel = backend::table<T>().linear;
    const api::LinearForward<T> arguments{rows,
                                          inputs,
                                          outputs,
                                          parallel::thread_count(),
                                          input<T>(x, std::array<index_t, 2>{rows, inputs}, "x"),
                                          input<T>(weight, std::array<index_t, 2>{outputs, inputs}, "weight"),
                                          input<T>(bias, std::array<index_t, 1>{outputs}, "bias"),
                                          output<T>(y, std::array<index_t, 2>{rows, outputs}, "y"),
                                          scratch<T>(kernel.forward_workspace(rows, inputs, outputs))};
    py::gil_scoped_release release;
    kernel.forward(arguments);
  });
}

void backward(const py::array& x, const py::array& weight, const py::array& dy, const py::array& dx,
              const py::array& dweight, const OptionalArray& dbias) {
  if (x.ndim() != 2 || weight.ndim() != 2) fail("x, weight", "must have two axes");
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const index_t rows = x.shape(0), inputs = x.shape(1), outputs = weight.shape(0);
    const int threads = parallel::thread_count();
    const api::LinearKernels<T>& kernel = backend::table<T>().linear;
    const api::LinearBackward<T> arguments{
        rows,
        inputs,
        outputs,
        threads,
        input<T>(x, std::array<index_t, 2>{rows, inputs}, "x"),
        input<T>(weight, std::array<index_t, 2>{outputs, inputs}, "weight"),
        input<T>(dy, std::array<index_t, 2>{rows, outputs}, "dy"),
        output<T>(dx, std::array<index_t, 2>{rows, inputs}, "dx"),
        output<T>(dweight, std::array<index_t, 2>{outputs, inputs}, "dweight"),
        output<T>(dbias, std::array<index_t, 1>{outputs}, "dbias"),
        scratch<T>(kernel.backward_workspace(rows, inputs, outputs, threads))};
    py::gil_scoped_release release;
    kernel.backward(arguments);
  });
}

}  // namespace

void bind_linear(py::module_& module) {
  using py::arg;
  module.def("linear_forward", &forward, py::kw_only(), arg("x"), arg("weight"), arg("bias"), arg("y"));
  module.def("linear_backward", &backward, py::kw_only(), arg("x"), arg("weight"), arg("dy"), arg("dx"),
             arg("dweight"), arg("dbias"));
}

}  // namespace rnnfast::python
