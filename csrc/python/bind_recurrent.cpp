// Recurrent layers, forward and backward, by cell index.
#include "python/recurrent_arrays.hpp"

namespace rnnfast::python {

namespace {

// The tape must hold the rows of the longest segment, which is the first.
template <class T>
index_t tape_rows(const api::RecurrentCall<T>& call) {
  const index_t segment = call.dims.segment < call.dims.steps ? call.dims.segment : call.dims.steps;
  index_t rows = 0;
  for (index_t n = 0; n < call.dims.batch; ++n) {
    const index_t length = call.lengths == nullptr ? call.dims.steps : static_cast<index_t>(call.lengths[n]);
    rows += length < segment ? length : segment;
  }
  return rows;
}

void forward(int cell, const py::dict& settings, index_t hidden, index_t projection, const py::array& x,
             const Arrays& state, const Arrays& reset_state, const py::dict& options, const py::array& packed,
             const py::array& y, const Arrays& final_state, const Arrays& states, const OptionalArray& tape,
             const OptionalArray& checkpoints) {
  const api::CellFacts& facts = cell_facts(cell);
  const Settings read = read_settings(settings, facts.states);
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const api::RecurrentKernels<T>& kernel = recurrent_kernels<T>(cell);
    api::RecurrentForward<T> arguments{};
    arguments.call = read_call<T>(cell, read, hidden, projection, x, state, reset_state, options, packed);
    const api::RecurrentDims& dims = arguments.call.dims;
    arguments.y = output_sequence<T>(y, {dims.batch, dims.steps, dims.outputs()}, "y");
    fill_states(arguments.final_state, final_state, facts, dims, "final_state",
                [&](const OptionalArray& array, index_t size) {
                  if (!array) fail("final_state", "must be given");
                  return output<T>(*array, std::array<index_t, 2>{dims.batch, size}, "final_state");
                });
    if (!states.empty()) {
      if (static_cast<int>(states.size()) != facts.states) fail("states", "has the wrong number of states");
      for (int s = 1; s < facts.states; ++s) {
        const OptionalArray& array = states[static_cast<std::size_t>(s)];
        if (array)
          arguments.states[s] = output_sequence<T>(*array, {dims.batch, dims.steps, hidden}, "states");
      }
    }
    arguments.tape =
        output<T>(tape, std::array<index_t, 2>{tape_rows(arguments.call), kernel.tape_row(dims)}, "tape");
    if (tape && dims.segment < dims.steps) fail("tape", "must be absent where backward recomputes it");
    arguments.checkpoints =
        output<T>(checkpoints, std::array<index_t, 4>{dims.segments(), facts.states - 1, dims.batch, hidden},
                  "checkpoints");
    arguments.workspace = scratch<T>(kernel.forward_workspace(dims, arguments.call.threads));
    py::gil_scoped_release release;
    kernel.forward(arguments);
  });
}

void backward(int cell, const py::dict& settings, index_t hidden, index_t projection, const py::array& x,
              const Arrays& state, const Arrays& reset_state, const py::dict& options,
              const py::array& packed, const py::array& packed_backward, const py::array& y,
              const py::array& tape, const OptionalArray& checkpoints, double bound, const OptionalArray& dy,
              const Arrays& dfinal_state, const OptionalArray& dx, const Arrays& dstate,
              const Arrays& dreset_state, const py::dict& gradients) {
  const api::CellFacts& facts = cell_facts(cell);
  const Settings read = read_settings(settings, facts.states);
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const api::RecurrentKernels<T>& kernel = recurrent_kernels<T>(cell);
    api::RecurrentBackward<T> arguments{};
    arguments.call = read_call<T>(cell, read, hidden, projection, x, state, reset_state, options, packed);
    const api::RecurrentDims& dims = arguments.call.dims;
    const index_t outputs = dims.outputs(), gate_rows = facts.gates * hidden;
    const std::array<index_t, 3> output_shape{dims.batch, dims.steps, outputs};
    arguments.y = input_sequence<T>(y, output_shape, "y");
    arguments.packed = input<T>(
        packed_backward, std::array<index_t, 1>{kernel.backward_packed_size(dims.inputs, hidden, projection)},
        "packed_backward");
    arguments.tape =
        output<T>(tape, std::array<index_t, 2>{tape_rows(arguments.call), kernel.tape_row(dims)}, "tape");
    arguments.checkpoints =
        input<T>(checkpoints, std::array<index_t, 4>{dims.segments(), facts.states - 1, dims.batch, hidden},
                 "checkpoints");
    if (dims.segment < dims.steps && !checkpoints) fail("checkpoints", "must be given");
    arguments.bound = static_cast<T>(bound);
    if (dy) arguments.dy = input_sequence<T>(*dy, output_shape, "dy");
    if (dx) arguments.dx = output_sequence<T>(*dx, {dims.batch, dims.steps, dims.inputs}, "dx");
    const auto state_rows = [&](const OptionalArray& array, index_t size) {
      return output<T>(array, std::array<index_t, 2>{dims.batch, size}, "dstate, dreset_state");
    };
    fill_states(arguments.dfinal_state, dfinal_state, facts, dims, "dfinal_state",
                [&](const OptionalArray& array, index_t size) {
                  return input<T>(array, std::array<index_t, 2>{dims.batch, size}, "dfinal_state");
                });
    fill_states(arguments.dstate, dstate, facts, dims, "dstate", state_rows);
    fill_states(arguments.dreset_state, dreset_state, facts, dims, "dreset_state", state_rows);
    for (int s = 0; s < facts.states; ++s) {
      if (arguments.dstate[s] == nullptr) fail("dstate", "must be given");
    }
    const auto wanted = [&](const char* name, std::initializer_list<index_t> shape) -> T* {
      const OptionalArray array = entry(gradients, name);
      if (shape.size() == 1) return output<T>(array, std::array<index_t, 1>{*shape.begin()}, name);
      return output<T>(array, std::array<index_t, 2>{shape.begin()[0], shape.begin()[1]}, name);
    };
    arguments.gradients = {wanted("weight_ih", {gate_rows, dims.inputs}),
                           wanted("weight_hh", {gate_rows, outputs}),
                           wanted("bias_ih", {gate_rows}),
                           wanted("bias_hh", {gate_rows}),
                           wanted("weight_hr", {projection, hidden}),
                           unit_weights<T>(gradients, facts, dims)};
    const api::RecurrentGradients<T>& places = arguments.gradients;
    if (places.dweight_ih == nullptr || places.dweight_hh == nullptr ||
        (places.dbias_ih == nullptr) != (places.dbias_hh == nullptr) ||
        (places.dweight_hr != nullptr) != (projection > 0))
      fail("gradients", "must be given whole");
    arguments.workspace = scratch<T>(kernel.backward_workspace(dims, arguments.call.threads));
    py::gil_scoped_release release;
    kernel.backward(arguments);
  });
}

}  // namespace

void bind_recurrent(py::module_& module) {
  using py::arg;
  module.def("recurrent_forward", &forward, arg("cell"), py::kw_only(), arg("settings"), arg("hidden"),
             arg("projection"), arg("x"), arg("state"), arg("reset_state"), arg("options"), arg("packed"),
             arg("y"), arg("final_state"), arg("states"), arg("tape"), arg("checkpoints"));
  module.def("recurrent_backward", &backward, arg("cell"), py::kw_only(), arg("settings"), arg("hidden"),
             arg("projection"), arg("x"), arg("state"), arg("reset_state"), arg("options"), arg("packed"),
             arg("packed_backward"), arg("y"), arg("tape"), arg("checkpoints"), arg("bound"), arg("dy"),
             arg("dfinal_state"), arg("dx"), arg("dstate"), arg("dreset_state"), arg("gradients"));
}

}  // namespace rnnfast::python
