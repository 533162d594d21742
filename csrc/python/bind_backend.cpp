// Variants, threads, build facts, random masks and the measures of the machine.
#include <pybind11/stl.h>

#include "backend/registry.hpp"
#include "base/parallel.hpp"
#include "python/array.hpp"

namespace rnnfast::python {
namespace {

py::list cells() {
  const api::Variant& variant = backend::active();
  py::list result;
  for (int index = 0; index < variant.cell_count; ++index) {
    const api::CellFacts& cell = variant.cells[index];
    const auto names = [](const char* const* from, int count) {
      py::list list;
      for (int k = 0; k < count; ++k) list.append(from[k]);
      return py::tuple(list);
    };
    py::dict facts;
    facts["name"] = cell.name;
    facts["gates"] = names(cell.gate_names, cell.gates);
    facts["states"] = names(cell.state_names, cell.states);
    facts["sums"] = cell.sums;
    facts["unit_weights"] = names(cell.unit_weight_names, cell.unit_weights);
    facts["split_norm"] = cell.split_norm;
    facts["joint_norm"] = cell.joint_norm;
    facts["output_state"] = cell.output_state;
    result.append(facts);
  }
  return result;
}

void dropout_mask(const py::array& mask, double rate, std::uint32_t seed_low, std::uint32_t seed_high,
                  std::uint32_t call, std::uint32_t stream) {
  if (mask.ndim() != 3) fail("mask", "must have three axes (N, T, F)");
  if (mask.shape(2) > api::kMostRandomUnits) fail("mask", "must have at most 2**22 units");
  if (stream >> 12 != 0) fail("stream", "must have 12 bits");
  if (!(rate >= 0.0 && rate < 1.0)) fail("rate", "must be in [0, 1)");
  by_dtype(mask, "mask", [&](auto zero) {
    using T = decltype(zero);
    const std::array<index_t, 3> shape = {mask.shape(0), mask.shape(1), mask.shape(2)};
    const api::RandomKey key{{seed_low, seed_high}, call, stream};
    const api::DropoutMask<T> arguments{shape[0], shape[1], shape[2],
                                        key,      rate,     output<T>(mask, shape, "mask")};
    py::gil_scoped_release release;
    backend::table<T>().random.dropout_mask(arguments);
  });
}

void activation(const std::string& name, const py::array& x, const py::array& y) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const index_t count = x.size();
    const T* from = input<T>(x, Flat{count}, "x");
    T* to = output<T>(y, Flat{count}, "y");
    const api::ActivationKernels<T>& kernels = backend::table<T>().activation;
    const auto function = name == "sigmoid" ? kernels.sigmoid
                          : name == "tanh"  ? kernels.tanh
                          : name == "relu"  ? kernels.relu
                                            : nullptr;
    if (function == nullptr) fail("name", "must be sigmoid, tanh or relu");
    py::gil_scoped_release release;
    function(from, to, count);
  });
}

// Floating point operations done in `repeats` rounds of independent FMAs.
double peak(const std::string& dtype, index_t repeats) {
  check_dtype_name(dtype);
  py::gil_scoped_release release;
  if (dtype == "float64") {
    double sink[2] = {0.5, 0.25};
    return backend::table<double>().activation.peak(repeats, sink);
  }
  float sink[2] = {0.5f, 0.25f};
  return backend::table<float>().activation.peak(repeats, sink);
}

}  // namespace

void bind_backend(py::module_& module) {
  backend::active();  // an unknown RNNFAST_ISA fails here, at import
  module.attr("version") = RNNFAST_VERSION;
  module.attr("compiler") = RNNFAST_COMPILER;
  module.attr("cuda_reason") = "this version has no CUDA module";
  module.def("compiled_variants", [] {
    py::list names;
    for (const backend::Entry& entry : backend::compiled())
      names.append(py::make_tuple(entry.name, entry.supported()));
    return names;
  });
  module.def("active_variant", [] { return backend::active().name; });
  module.def("use_variant", &backend::use, py::arg("name"));
  module.def("cells", &cells);
  module.def("thread_count", &parallel::thread_count);
  module.def("set_thread_count", &parallel::set_thread_count, py::arg("count"));
  module.def("available_cpus", &parallel::available_cpus);
  module.def("dropout_mask", &dropout_mask, py::arg("mask"), py::kw_only(), py::arg("rate"),
             py::arg("seed_low"), py::arg("seed_high"), py::arg("call"), py::arg("stream"));
  module.def("activation", &activation, py::arg("name"), py::arg("x"), py::arg("y"));
  module.def("peak", &peak, py::arg("dtype"), py::arg("repeats"));
}

}  // namespace rnnfast::python
