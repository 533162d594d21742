// Losses over elements.
#include <pybind11/stl.h>

#include <algorithm>

#include "backend/registry.hpp"
#include "python/plain_array.hpp"

namespace rnnfast::python {
namespace {

api::ElementLoss loss_of(const std::string& name) {
  if (name == "squared") return api::ElementLoss::kSquared;
  if (name == "absolute") return api::ElementLoss::kAbsolute;
  if (name == "huber") return api::ElementLoss::kHuber;
  if (name == "quantile") return api::ElementLoss::kQuantile;
  throw py::value_error("element_loss: loss must be squared, absolute, huber or quantile, got " + name);
}

// The data of an array with the shape of `like`.
template <class T>
const T* same_shape(const py::array& array, const py::array& like, const char* name) {
  check_dtype<T>(array, name);
  if (array.ndim() != like.ndim() || !std::equal(array.shape(), array.shape() + array.ndim(), like.shape()))
    fail(name, "must have the shape of prediction");
  if (!(array.flags() & py::array::c_style)) fail(name, "must be C-contiguous");
  if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) != 0) fail(name, "must be aligned");
  return static_cast<const T*>(array.data());
}

// -> (sum, slopes or None)
py::tuple element_loss(const std::string& loss, double parameter, const py::array& prediction,
                       const py::array& target, const OptionalArray& mask, double scale, bool slopes) {
  return by_dtype(prediction, "prediction", [&](auto zero) {
    using T = decltype(zero);
    py::object found = py::none();
    if (slopes) found = new_array<T>(prediction.shape(), static_cast<int>(prediction.ndim()));
    const api::ElementLossSum<T> sum{loss_of(loss),
                                     static_cast<T>(parameter),
                                     prediction.size(),
                                     same_shape<T>(prediction, prediction, "prediction"),
                                     same_shape<T>(target, prediction, "target"),
                                     mask ? same_shape<bool>(*mask, prediction, "mask") : nullptr,
                                     slopes ? data_of<T>(found.ptr()) : nullptr,
                                     static_cast<T>(scale)};
    double total = 0;
    without_interpreter(static_cast<double>(sum.count),
                        [&] { total = backend::table<T>().loss.element_sum(sum); });
    return py::make_tuple(total, found);
  });
}

}  // namespace

void bind_loss(py::module_& module) {
  using py::arg;
  module.def("element_loss", &element_loss, arg("loss"), arg("parameter"), arg("prediction"), arg("target"),
             arg("mask"), arg("scale"), arg("slopes"));
}

}  // namespace rnnfast::python
