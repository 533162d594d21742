// Packed weights, settings and calls of recurrent layers, which Python keeps.
#include "python/recurrent_call.hpp"

namespace rnnfast::python {

void bind_recurrent_weights(py::module_& module) {
  using py::arg;
  py::class_<PackedWeights, std::shared_ptr<PackedWeights>>(module, "PackedWeights")
      .def(py::init<int, const std::string&, const py::array&, const py::array&, const OptionalArray&,
                    const OptionalArray&, const OptionalArray&, const py::dict&>(),
           arg("cell"), py::kw_only(), arg("layer_norm"), arg("weight_ih"), arg("weight_hh"), arg("bias_ih"),
           arg("bias_hh"), arg("weight_hr"), arg("unit_weights"))
      .def("renewed", &PackedWeights::renewed, arg("unit_weights"))
      .def("forward", &PackedWeights::forward)
      .def("backward", &PackedWeights::backward);
  py::class_<RecurrentSettings>(module, "RecurrentSettings")
      .def(py::init<int, bool, index_t, const std::vector<double>&, bool,
                    const std::vector<std::array<std::uint32_t, 4>>&>(),
           arg("cell"), py::kw_only(), arg("reverse"), arg("recompute"), arg("zoneout_rates"),
           arg("zoneout_training"), arg("zoneout_keys"));
  py::class_<RecurrentCall>(module, "RecurrentCall")
      .def(py::init<std::shared_ptr<PackedWeights>, const RecurrentSettings&, const py::array&, const Arrays&,
                    const Arrays&, const OptionalArray&, const OptionalArray&, const OptionalArray&>(),
           arg("weights"), arg("settings"), arg("x"), arg("state"), arg("reset_state"), arg("lengths"),
           arg("resets"), arg("hidden_mask"))
      .def("tape_shape", [](const RecurrentCall& call) { return py::tuple(py::cast(call.tape_shape())); })
      .def("checkpoints_shape", [](const RecurrentCall& call) -> py::object {
        const auto shape = call.checkpoints_shape();
        return shape ? py::object(py::tuple(py::cast(*shape))) : py::none();
      });
}

}  // namespace rnnfast::python
