// Convolution over time.
#include <pybind11/stl.h>

#include "backend/registry.hpp"
#include "base/parallel.hpp"
#include "python/layer_arguments.hpp"
#include "python/plain_array.hpp"

namespace rnnfast::python {
namespace {

struct Geometry {
  index_t kernel, dilation, stride, first;
  api::Activation activation;
};

Geometry geometry_of(index_t kernel, index_t dilation, index_t stride, index_t first,
                     const std::string& activation) {
  if (kernel < 1 || dilation < 1 || stride < 1) fail("kernel, dilation, stride", "must be 1 or more");
  return {kernel, dilation, stride, first, activation_of(activation)};
}

// Sizes from x [N, T, C] and y [N, steps_out, O]; no tap of any output may lie behind x.
api::Conv1dDims dims_of(const py::array& x, const py::array& y, const Geometry& geometry) {
  if (x.ndim() != 3 || y.ndim() != 3) fail("x, y", "must have three axes");
  const api::Conv1dDims dims{x.shape(0),      x.shape(2), y.shape(2), geometry.kernel, geometry.dilation,
                             geometry.stride, x.shape(1), y.shape(1), geometry.first,  geometry.activation};
  const index_t last = dims.stride * (dims.steps_out - 1) + (dims.kernel - 1) * dims.dilation + dims.first;
  if (dims.steps_out > 0 && last >= dims.steps_in) fail("y", "must have no step that reads behind x");
  return dims;
}

py::array conv1d_pack(bool for_backward, const py::array& weight, const OptionalArray& bias) {
  if (weight.ndim() != 3) fail("weight", "must have three axes");
  return by_dtype(weight, "weight", [&](auto zero) -> py::array {
    using T = decltype(zero);
    const index_t outputs = weight.shape(0), inputs = weight.shape(1), kernel = weight.shape(2);
    const api::Conv1dKernels<T>& kernels = backend::table<T>().conv1d;
    const index_t size =
        (for_backward ? kernels.backward_packed_size : kernels.forward_packed_size)(inputs, outputs, kernel);
    py::array packed = new_packed<T>(size);
    const api::Conv1dWeights<T> weights{
        inputs,
        outputs,
        kernel,
        input<T>(weight, std::array<index_t, 3>{outputs, inputs, kernel}, "weight"),
        input<T>(bias, Flat{outputs}, "bias"),
        data_of<T>(packed.ptr())};
    (for_backward ? kernels.pack_backward : kernels.pack_forward)(weights);
    return packed;
  });
}

void conv1d_forward(const py::array& x, const py::array& packed, const py::array& y, index_t kernel,
                    index_t dilation, index_t stride, index_t first, const std::string& activation,
                    const OptionalArray& ring, index_t position) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const api::Conv1dDims dims = dims_of(x, y, geometry_of(kernel, dilation, stride, first, activation));
    const api::Conv1dKernels<T>& kernels = backend::table<T>().conv1d;
    const int threads = parallel::thread_count();
    const index_t capacity = (kernel - 1) * dilation;
    if (position < 0 || (position >= capacity && position > 0)) fail("position", "must lie in the ring");
    const api::Conv1dForward<T> arguments{
        dims,
        threads,
        input_sequence<T>(x, {dims.batch, dims.steps_in, dims.inputs}, "x"),
        {output<T>(ring, std::array<index_t, 3>{dims.batch, capacity, dims.inputs}, "ring"), capacity,
         position},
        input<T>(packed, Flat{kernels.forward_packed_size(dims.inputs, dims.outputs, kernel)}, "packed"),
        output_sequence<T>(y, {dims.batch, dims.steps_out, dims.outputs}, "y"),
        scratch<T>(kernels.forward_workspace(dims, threads))};
    py::gil_scoped_release release;
    kernels.forward(arguments);
  });
}

void conv1d_backward(const py::array& x, const py::array& y, const py::array& dy, const py::array& packed,
                     const OptionalArray& dx, const py::array& dweight, const OptionalArray& dbias,
                     index_t kernel, index_t dilation, index_t stride, index_t first,
                     const std::string& activation) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const api::Conv1dDims dims = dims_of(x, y, geometry_of(kernel, dilation, stride, first, activation));
    const api::Conv1dKernels<T>& kernels = backend::table<T>().conv1d;
    const int threads = parallel::thread_count();
    const std::array<index_t, 3> in{dims.batch, dims.steps_in, dims.inputs},
        out{dims.batch, dims.steps_out, dims.outputs};
    const api::Conv1dBackward<T> arguments{
        dims,
        threads,
        input_sequence<T>(x, in, "x"),
        input_sequence<T>(y, out, "y"),
        input_sequence<T>(dy, out, "dy"),
        input<T>(packed, Flat{kernels.backward_packed_size(dims.inputs, dims.outputs, kernel)}, "packed"),
        dx ? output_sequence<T>(*dx, in, "dx") : api::Sequence<T>{},
        output<T>(dweight, std::array<index_t, 3>{dims.outputs, dims.inputs, kernel}, "dweight"),
        output<T>(dbias, Flat{dims.outputs}, "dbias"),
        scratch<T>(kernels.backward_workspace(dims, threads))};
    py::gil_scoped_release release;
    kernels.backward(arguments);
  });
}

}  // namespace

void bind_conv1d(py::module_& module) {
  using py::arg;
  module.def("conv1d_pack", &conv1d_pack, py::kw_only(), arg("for_backward"), arg("weight"), arg("bias"));
  module.def("conv1d_forward", &conv1d_forward, py::kw_only(), arg("x"), arg("packed"), arg("y"),
             arg("kernel"), arg("dilation"), arg("stride"), arg("first"), arg("activation"), arg("ring"),
             arg("position"));
  module.def("conv1d_backward", &conv1d_backward, py::kw_only(), arg("x"), arg("y"), arg("dy"), arg("packed"),
             arg("dx"), arg("dweight"), arg("dbias"), arg("kernel"), arg("dilation"), arg("stride"),
             arg("first"), arg("activation"));
}

}  // namespace rnnfast::python
