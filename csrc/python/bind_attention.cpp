// The parts of attention: products per sample and softmax over keys.
#include <pybind11/stl.h>

#include "backend/registry.hpp"
#include "base/parallel.hpp"
#include "python/array.hpp"

namespace rnnfast::python {
namespace {

using Cube = std::array<index_t, 3>;

Cube cube_of(const py::array& array, const char* name) {
  if (array.ndim() != 3) fail(name, "must have three axes");
  return {array.shape(0), array.shape(1), array.shape(2)};
}

void batched_product(const py::array& a, const py::array& b, const py::array& c, bool transpose_a,
                     bool transpose_b) {
  if (transpose_a && transpose_b) fail("transpose_a, transpose_b", "must not both be true");
  by_dtype(a, "a", [&](auto zero) {
    using T = decltype(zero);
    const Cube left = cube_of(a, "a"), out = cube_of(c, "c");
    const index_t batch = out[0], rows = out[1], columns = out[2], depth = left[transpose_a ? 1 : 2];
    const api::AttentionKernels<T>& kernels = backend::table<T>().attention;
    const int threads = parallel::thread_count();
    const api::BatchedProduct<T> arguments{
        batch,
        rows,
        columns,
        depth,
        transpose_a   ? api::Transposed::kLeft
        : transpose_b ? api::Transposed::kRight
                      : api::Transposed::kNone,
        threads,
        input<T>(a, transpose_a ? Cube{batch, depth, rows} : Cube{batch, rows, depth}, "a"),
        input<T>(b, transpose_b ? Cube{batch, columns, depth} : Cube{batch, depth, columns}, "b"),
        output<T>(c, out, "c"),
        scratch<T>(kernels.product_workspace(columns, depth, threads))};
    py::gil_scoped_release release;
    kernels.product(arguments);
  });
}

void softmax_forward(const py::array& scores, const OptionalArray& lengths, const py::array& probabilities) {
  by_dtype(scores, "scores", [&](auto zero) {
    using T = decltype(zero);
    const Cube shape = cube_of(scores, "scores");
    const std::int64_t* const own = input<std::int64_t>(lengths, Flat{shape[0]}, "lengths");
    for (index_t n = 0; own != nullptr && n < shape[0]; ++n) {
      if (own[n] < 0 || own[n] > shape[2]) fail("lengths", "must be in 0 … keys");
    }
    const api::SoftmaxForward<T> arguments{shape[0], shape[1],
                                           shape[2], input<T>(scores, shape, "scores"),
                                           own,      output<T>(probabilities, shape, "probabilities")};
    py::gil_scoped_release release;
    backend::table<T>().attention.softmax_forward(arguments);
  });
}

void softmax_backward(const py::array& probabilities, const py::array& dprobabilities,
                      const py::array& dscores) {
  by_dtype(probabilities, "probabilities", [&](auto zero) {
    using T = decltype(zero);
    const Cube shape = cube_of(probabilities, "probabilities");
    const api::SoftmaxBackward<T> arguments{
        shape[0] * shape[1], shape[2], input<T>(probabilities, shape, "probabilities"),
        input<T>(dprobabilities, shape, "dprobabilities"), output<T>(dscores, shape, "dscores")};
    py::gil_scoped_release release;
    backend::table<T>().attention.softmax_backward(arguments);
  });
}

}  // namespace

void bind_attention(py::module_& module) {
  using py::arg;
  module.def("batched_product", &batched_product, py::kw_only(), arg("a"), arg("b"), arg("c"),
             arg("transpose_a"), arg("transpose_b"));
  module.def("softmax_forward", &softmax_forward, py::kw_only(), arg("scores"), arg("lengths"),
             arg("probabilities"));
  module.def("softmax_backward", &softmax_backward, py::kw_only(), arg("probabilities"),
             arg("dprobabilities"), arg("dscores"));
}

}  // namespace rnnfast::python
