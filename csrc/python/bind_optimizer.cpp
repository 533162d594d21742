// Optimizer steps over flat buffers.
#include <pybind11/stl.h>

#include "backend/registry.hpp"
#include "python/array.hpp"

namespace rnnfast::python {
namespace {

void sgd(const py::array& parameter, const py::array& gradient, const OptionalArray& velocity, double rate,
         double momentum, double weight_decay, double gradient_scale, bool nesterov) {
  by_dtype(parameter, "parameter", [&](auto zero) {
    using T = decltype(zero);
    const Flat shape{parameter.size()};
    const api::SgdStep<T> step{shape[0],
                               output<T>(parameter, shape, "parameter"),
                               input<T>(gradient, shape, "gradient"),
                               output<T>(velocity, shape, "velocity"),
                               static_cast<T>(rate),
                               static_cast<T>(momentum),
                               static_cast<T>(weight_decay),
                               static_cast<T>(gradient_scale),
                               nesterov};
    py::gil_scoped_release release;
    backend::table<T>().optimizer.sgd(step);
  });
}

void rmsprop(const py::array& parameter, const py::array& gradient, const py::array& square_average,
             const OptionalArray& velocity, double rate, double decay, double epsilon, double momentum,
             double weight_decay, double gradient_scale) {
  by_dtype(parameter, "parameter", [&](auto zero) {
    using T = decltype(zero);
    const Flat shape{parameter.size()};
    const api::RmspropStep<T> step{shape[0],
                                   output<T>(parameter, shape, "parameter"),
                                   input<T>(gradient, shape, "gradient"),
                                   output<T>(square_average, shape, "square_average"),
                                   output<T>(velocity, shape, "velocity"),
                                   static_cast<T>(rate),
                                   static_cast<T>(decay),
                                   static_cast<T>(1.0 - decay),
                                   static_cast<T>(epsilon),
                                   static_cast<T>(momentum),
                                   static_cast<T>(weight_decay),
                                   static_cast<T>(gradient_scale)};
    py::gil_scoped_release release;
    backend::table<T>().optimizer.rmsprop(step);
  });
}

void adam(const py::array& parameter, const py::array& gradient, const py::array& first_moment,
          const py::array& second_moment, double rate, double beta1, double beta2, double epsilon,
          double weight_decay, double gradient_scale, double first_scale, double second_scale,
          bool decoupled) {
  by_dtype(parameter, "parameter", [&](auto zero) {
    using T = decltype(zero);
    const Flat shape{parameter.size()};
    const api::AdamStep<T> step{shape[0],
                                output<T>(parameter, shape, "parameter"),
                                input<T>(gradient, shape, "gradient"),
                                output<T>(first_moment, shape, "first_moment"),
                                output<T>(second_moment, shape, "second_moment"),
                                static_cast<T>(rate),
                                static_cast<T>(beta1),
                                static_cast<T>(beta2),
                                static_cast<T>(1.0 - beta1),
                                static_cast<T>(1.0 - beta2),
                                static_cast<T>(epsilon),
                                static_cast<T>(weight_decay),
                                static_cast<T>(gradient_scale),
                                static_cast<T>(first_scale),
                                static_cast<T>(second_scale),
                                decoupled};
    py::gil_scoped_release release;
    backend::table<T>().optimizer.adam(step);
  });
}

double sum_of_squares(const py::array& values) {
  return by_dtype(values, "values", [&](auto zero) {
    using T = decltype(zero);
    const T* data = input<T>(values, Flat{values.size()}, "values");
    py::gil_scoped_release release;
    return backend::table<T>().optimizer.sum_of_squares(data, values.size());
  });
}

}  // namespace

void bind_optimizer(py::module_& module) {
  using py::arg;
  module.def("sgd", &sgd, arg("parameter"), arg("gradient"), arg("velocity"), py::kw_only(), arg("rate"),
             arg("momentum"), arg("weight_decay"), arg("gradient_scale"), arg("nesterov"));
  module.def("rmsprop", &rmsprop, arg("parameter"), arg("gradient"), arg("square_average"), arg("velocity"),
             py::kw_only(), arg("rate"), arg("decay"), arg("epsilon"), arg("momentum"), arg("weight_decay"),
             arg("gradient_scale"));
  module.def("adam", &adam, arg("parameter"), arg("gradient"), arg("first_moment"), arg("second_moment"),
             py::kw_only(), arg("rate"), arg("beta1"), arg("beta2"), arg("epsilon"), arg("weight_decay"),
             arg("gradient_scale"), arg("first_scale"), arg("second_scale"), arg("decoupled"));
  module.def("sum_of_squares", &sum_of_squares, arg("values"));
}

}  // namespace rnnfast::python
