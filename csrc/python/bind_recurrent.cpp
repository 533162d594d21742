// Recurrent layers: packing, forward, backward, by cell index.
#include <pybind11/stl.h>

#include <vector>

#include "backend/registry.hpp"
#include "base/parallel.hpp"
#include "python/array.hpp"

namespace rnnfast::python {
namespace {

const api::CellFacts& facts(int cell) {
  if (cell < 0 || cell >= backend::active().cell_count) fail("cell", "is not in the registry");
  return backend::active().cells[cell];
}

template <class T>
const api::RecurrentKernels<T>& kernels(int cell) {
  if constexpr (std::is_same_v<T, float>) {
    return backend::active().float32.recurrent[cell];
  } else {
    return backend::active().float64.recurrent[cell];
  }
}

py::array pack(int cell, bool for_backward, const py::array& weight_ih, const py::array& weight_hh,
               const OptionalArray& bias_ih, const OptionalArray& bias_hh) {
  const index_t gates = facts(cell).gates;
  if (weight_ih.ndim() != 2 || weight_hh.ndim() != 2) fail("weight_ih, weight_hh", "must have two axes");
  if (bias_ih.has_value() != bias_hh.has_value()) fail("bias_ih, bias_hh", "must be given together");
  return by_dtype(weight_ih, "weight_ih", [&](auto zero) -> py::array {
    using T = decltype(zero);
    const index_t inputs = weight_ih.shape(1), hidden = weight_hh.shape(1);
    const api::RecurrentKernels<T>& kernel = kernels<T>(cell);
    py::array_t<T> packed(
        (for_backward ? kernel.backward_packed_size : kernel.forward_packed_size)(inputs, hidden));
    const api::RecurrentWeights<T> weights{
        inputs,
        hidden,
        input<T>(weight_ih, std::array<index_t, 2>{gates * hidden, inputs}, "weight_ih"),
        input<T>(weight_hh, std::array<index_t, 2>{gates * hidden, hidden}, "weight_hh"),
        input<T>(bias_ih, std::array<index_t, 1>{gates * hidden}, "bias_ih"),
        input<T>(bias_hh, std::array<index_t, 1>{gates * hidden}, "bias_hh"),
        packed.mutable_data()};
    {
      py::gil_scoped_release release;
      (for_backward ? kernel.pack_backward : kernel.pack_forward)(weights);
    }
    return packed;
  });
}

index_t tape_row(int cell, const std::string& dtype, index_t hidden) {
  facts(cell);
  check_dtype_name(dtype);
  return dtype == "float64" ? kernels<double>(cell).tape_row(hidden) : kernels<float>(cell).tape_row(hidden);
}

template <class Pointer, class Arrays, class Convert>
void fill_states(Pointer (&to)[api::kMostStates], const Arrays& arrays, int states, const char* name,
                 Convert&& convert) {
  if (static_cast<int>(arrays.size()) != states) fail(name, "has the wrong number of states");
  for (int s = 0; s < states; ++s) to[s] = convert(arrays[static_cast<std::size_t>(s)]);
}

void forward(int cell, bool reverse, index_t hidden, const py::array& x,
             const std::vector<OptionalArray>& state, const py::array& packed, const py::array& y,
             const std::vector<py::array>& final_state, const OptionalArray& tape_gates,
             const OptionalArray& tape_states) {
  const api::CellFacts& cell_facts = facts(cell);
  if (x.ndim() != 3) fail("x", "must have three axes (N, T, I)");
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const api::RecurrentKernels<T>& kernel = kernels<T>(cell);
    const api::RecurrentDims dims{x.shape(0), x.shape(1), x.shape(2), hidden};
    const std::array<index_t, 2> rows{dims.batch, hidden};
    api::RecurrentForward<T> arguments{};
    arguments.dims = dims;
    arguments.reverse = reverse;
    arguments.threads = parallel::thread_count();
    arguments.x = input_sequence<T>(x, {dims.batch, dims.steps, dims.inputs}, "x");
    fill_states(arguments.state, state, cell_facts.states, "state",
                [&](const OptionalArray& array) { return input<T>(array, rows, "state"); });
    arguments.packed =
        input<T>(packed, std::array<index_t, 1>{kernel.forward_packed_size(dims.inputs, hidden)}, "packed");
    arguments.y = output_sequence<T>(y, {dims.batch, dims.steps, hidden}, "y");
    fill_states(arguments.final_state, final_state, cell_facts.states, "final_state",
                [&](const py::array& array) { return output<T>(array, rows, "final_state"); });
    arguments.tape_gates = output<T>(
        tape_gates, std::array<index_t, 3>{dims.steps, dims.batch, kernel.tape_row(hidden)}, "tape_gates");
    arguments.tape_states =
        output<T>(tape_states, std::array<index_t, 4>{dims.steps, dims.batch, cell_facts.states - 1, hidden},
                  "tape_states");
    if ((arguments.tape_gates == nullptr) != (arguments.tape_states == nullptr))
      fail("tape", "must be given whole");
    arguments.workspace = scratch<T>(kernel.forward_workspace(dims));
    py::gil_scoped_release release;
    kernel.forward(arguments);
  });
}

void backward(int cell, bool reverse, const py::array& x, const py::array& y,
              const std::vector<OptionalArray>& state, const py::array& packed, const py::array& tape_gates,
              const py::array& tape_states, const OptionalArray& dy,
              const std::vector<OptionalArray>& dfinal_state, const OptionalArray& dx,
              const std::vector<py::array>& dstate, const py::array& dweight_ih, const py::array& dweight_hh,
              const OptionalArray& dbias_ih, const OptionalArray& dbias_hh) {
  const api::CellFacts& cell_facts = facts(cell);
  if (x.ndim() != 3 || y.ndim() != 3) fail("x, y", "must have three axes");
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const api::RecurrentKernels<T>& kernel = kernels<T>(cell);
    const index_t hidden = y.shape(2), gate_rows = cell_facts.gates * hidden;
    const api::RecurrentDims dims{x.shape(0), x.shape(1), x.shape(2), hidden};
    const std::array<index_t, 2> rows{dims.batch, hidden};
    const std::array<index_t, 3> output_shape{dims.batch, dims.steps, hidden};
    api::RecurrentBackward<T> arguments{};
    arguments.dims = dims;
    arguments.reverse = reverse;
    arguments.threads = parallel::thread_count();
    arguments.x = input_sequence<T>(x, {dims.batch, dims.steps, dims.inputs}, "x");
    arguments.y = input_sequence<T>(y, output_shape, "y");
    fill_states(arguments.state, state, cell_facts.states, "state",
                [&](const OptionalArray& array) { return input<T>(array, rows, "state"); });
    arguments.packed =
        input<T>(packed, std::array<index_t, 1>{kernel.backward_packed_size(dims.inputs, hidden)}, "packed");
    arguments.tape_gates = output<T>(
        tape_gates, std::array<index_t, 3>{dims.steps, dims.batch, kernel.tape_row(hidden)}, "tape_gates");
    arguments.tape_states =
        input<T>(tape_states, std::array<index_t, 4>{dims.steps, dims.batch, cell_facts.states - 1, hidden},
                 "tape_states");
    if (dy) arguments.dy = input_sequence<T>(*dy, output_shape, "dy");
    fill_states(arguments.dfinal_state, dfinal_state, cell_facts.states, "dfinal_state",
                [&](const OptionalArray& array) { return input<T>(array, rows, "dfinal_state"); });
    if (dx) arguments.dx = output_sequence<T>(*dx, {dims.batch, dims.steps, dims.inputs}, "dx");
    fill_states(arguments.dstate, dstate, cell_facts.states, "dstate",
                [&](const py::array& array) { return output<T>(array, rows, "dstate"); });
    arguments.dweight_ih =
        output<T>(dweight_ih, std::array<index_t, 2>{gate_rows, dims.inputs}, "dweight_ih");
    arguments.dweight_hh = output<T>(dweight_hh, std::array<index_t, 2>{gate_rows, hidden}, "dweight_hh");
    arguments.dbias_ih = output<T>(dbias_ih, std::array<index_t, 1>{gate_rows}, "dbias_ih");
    arguments.dbias_hh = output<T>(dbias_hh, std::array<index_t, 1>{gate_rows}, "dbias_hh");
    if ((arguments.dbias_ih == nullptr) != (arguments.dbias_hh == nullptr))
      fail("dbias", "must be given whole");
    arguments.workspace = scratch<T>(kernel.backward_workspace(dims, arguments.threads));
    py::gil_scoped_release release;
    kernel.backward(arguments);
  });
}

}  // namespace

void bind_recurrent(py::module_& module) {
  using py::arg;
  module.def("recurrent_pack", &pack, arg("cell"), py::kw_only(), arg("for_backward"), arg("weight_ih"),
             arg("weight_hh"), arg("bias_ih"), arg("bias_hh"));
  module.def("recurrent_tape_row", &tape_row, arg("cell"), py::kw_only(), arg("dtype"), arg("hidden"));
  module.def("recurrent_forward", &forward, arg("cell"), py::kw_only(), arg("reverse"), arg("hidden"),
             arg("x"), arg("state"), arg("packed"), arg("y"), arg("final_state"), arg("tape_gates"),
             arg("tape_states"));
  module.def("recurrent_backward", &backward, arg("cell"), py::kw_only(), arg("reverse"), arg("x"), arg("y"),
             arg("state"), arg("packed"), arg("tape_gates"), arg("tape_states"), arg("dy"),
             arg("dfinal_state"), arg("dx"), arg("dstate"), arg("dweight_ih"), arg("dweight_hh"),
             arg("dbias_ih"), arg("dbias_hh"));
}

}  // namespace rnnfast::python
