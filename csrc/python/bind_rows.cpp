// Layers that act on single rows: layer norm and embedding.
#include <pybind11/stl.h>

#include "backend/registry.hpp"
#include "base/parallel.hpp"
#include "python/layer_arguments.hpp"

namespace rnnfast::python {
namespace {

void layer_norm_forward(const py::array& x, const py::array& gamma, const py::array& beta, const py::array& y,
                        const OptionalArray& moments, const std::string& activation) {
  if (x.ndim() != 2) fail("x", "must have two axes");
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Matrix shape{x.shape(0), x.shape(1)};
    const Flat features{shape[1]};
    const api::LayerNormForward<T> arguments{shape[0],
                                             shape[1],
                                             activation_of(activation),
                                             parallel::thread_count(),
                                             input<T>(x, shape, "x"),
                                             input<T>(gamma, features, "gamma"),
                                             input<T>(beta, features, "beta"),
                                             output<T>(y, shape, "y"),
                                             output<T>(moments, Matrix{shape[0], 2}, "moments")};
    py::gil_scoped_release release;
    backend::table<T>().layer_norm.forward(arguments);
  });
}

void layer_norm_backward(const py::array& x, const py::array& y, const py::array& gamma,
                         const py::array& moments, const py::array& dy, const py::array& dx,
                         const py::array& dgamma, const py::array& dbeta, const std::string& activation) {
  if (x.ndim() != 2) fail("x", "must have two axes");
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Matrix shape{x.shape(0), x.shape(1)};
    const Flat features{shape[1]};
    const api::LayerNormKernels<T>& kernels = backend::table<T>().layer_norm;
    const api::LayerNormBackward<T> arguments{shape[0],
                                              shape[1],
                                              activation_of(activation),
                                              parallel::thread_count(),
                                              input<T>(x, shape, "x"),
                                              input<T>(y, shape, "y"),
                                              input<T>(gamma, features, "gamma"),
                                              input<T>(moments, Matrix{shape[0], 2}, "moments"),
                                              input<T>(dy, shape, "dy"),
                                              output<T>(dx, shape, "dx"),
                                              output<T>(dgamma, features, "dgamma"),
                                              output<T>(dbeta, features, "dbeta"),
                                              scratch<T>(kernels.backward_workspace(shape[0], shape[1]))};
    py::gil_scoped_release release;
    kernels.backward(arguments);
  });
}

void embedding_forward(const py::array& index, const py::array& weight, const py::array& y) {
  if (weight.ndim() != 2) fail("weight", "must have two axes");
  by_dtype(weight, "weight", [&](auto zero) {
    using T = decltype(zero);
    const index_t rows = index.size(), count = weight.shape(0), features = weight.shape(1);
    const api::EmbeddingForward<T> arguments{rows,
                                             count,
                                             features,
                                             parallel::thread_count(),
                                             indices(index, rows, count),
                                             input<T>(weight, Matrix{count, features}, "weight"),
                                             output<T>(y, Matrix{rows, features}, "y")};
    py::gil_scoped_release release;
    backend::table<T>().embedding.forward(arguments);
  });
}

void embedding_backward(const py::array& index, std::int64_t ignored, const py::array& dy,
                        const py::array& dweight) {
  if (dweight.ndim() != 2) fail("dweight", "must have two axes");
  by_dtype(dweight, "dweight", [&](auto zero) {
    using T = decltype(zero);
    const index_t rows = index.size(), count = dweight.shape(0), features = dweight.shape(1);
    const api::EmbeddingBackward<T> arguments{rows,
                                              count,
                                              features,
                                              parallel::thread_count(),
                                              indices(index, rows, count),
                                              ignored,
                                              input<T>(dy, Matrix{rows, features}, "dy"),
                                              output<T>(dweight, Matrix{count, features}, "dweight")};
    py::gil_scoped_release release;
    backend::table<T>().embedding.backward(arguments);
  });
}

}  // namespace

void bind_rows(py::module_& module) {
  using py::arg;
  module.def("layer_norm_forward", &layer_norm_forward, py::kw_only(), arg("x"), arg("gamma"), arg("beta"),
             arg("y"), arg("moments"), arg("activation"));
  module.def("layer_norm_backward", &layer_norm_backward, py::kw_only(), arg("x"), arg("y"), arg("gamma"),
             arg("moments"), arg("dy"), arg("dx"), arg("dgamma"), arg("dbeta"), arg("activation"));
  module.def("embedding_forward", &embedding_forward, py::kw_only(), arg("index"), arg("weight"), arg("y"));
  module.def("embedding_backward", &embedding_backward, py::kw_only(), arg("index"), arg("ignored"),
             arg("dy"), arg("dweight"));
}

}  // namespace rnnfast::python
