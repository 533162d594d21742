// Recurrent layers, forward and backward. What a call returns is new; where it writes besides is given.
#include "python/recurrent_results.hpp"

namespace rnnfast::python {
namespace {

// Calls body(T{}) for the dtype of the call.
template <class Body>
auto by_call(const RecurrentCall& call, Body&& body) {
  return by_width(call.weights->is_double, std::forward<Body>(body));
}

template <class T>
T* tape_memory(const RecurrentCall& call, const OptionalArray& tape) {
  return output<T>(tape, call.tape_shape(), "tape");
}

// -> final states
py::tuple recurrent_forward(RecurrentCall& call, const py::array& y, const Arrays& states,
                            const OptionalArray& tape, const OptionalArray& checkpoints) {
  return by_call(call, [&](auto zero) {
    using T = decltype(zero);
    const api::CellFacts& facts = call.weights->facts();
    const api::RecurrentKernels<T>& kernel = call.weights->kernel<T>();
    api::RecurrentForward<T> arguments{};
    arguments.call = call.call<T>();
    const api::RecurrentDims& dims = arguments.call.dims;
    arguments.y = output_sequence<T>(y, {dims.batch, dims.steps, dims.outputs()}, "y");
    call.check_written(y, states);
    if (!states.empty()) {
      if (static_cast<int>(states.size()) != facts.states) fail("states", "has the wrong number of states");
      for (int s = 1; s < facts.states; ++s) {
        const OptionalArray& array = states[static_cast<std::size_t>(s)];
        if (!array) continue;
        arguments.states[s] = output_sequence<T>(*array, {dims.batch, dims.steps, dims.hidden}, "states");
        call.check_written(*array, {});
      }
    }
    if (tape) arguments.tape = tape_memory<T>(call, tape);
    if (tape && dims.segment < dims.steps) fail("tape", "must be absent where backward recomputes it");
    if (checkpoints) {
      const auto shape = call.checkpoints_shape();
      if (!shape) fail("checkpoints", "must be absent where the tape is kept");
      arguments.checkpoints = output<T>(checkpoints, *shape, "checkpoints");
    }
    py::tuple final_state = new_states(arguments.final_state, facts, dims);
    arguments.workspace = scratch<T>(kernel.forward_workspace(dims, arguments.call.threads));
    without_interpreter(call.operations(), [&] { kernel.forward(arguments); });
    return final_state;
  });
}

// -> (dstate, dreset_state or None, gradients)
py::tuple recurrent_backward(RecurrentCall& call, const py::array& y, const py::array& tape,
                             const OptionalArray& checkpoints, double bound, const OptionalArray& dy,
                             const Arrays& dfinal_state, const OptionalArray& dx, bool with_reset_state) {
  return by_call(call, [&](auto zero) {
    using T = decltype(zero);
    const api::CellFacts& facts = call.weights->facts();
    const api::RecurrentKernels<T>& kernel = call.weights->kernel<T>();
    api::RecurrentBackward<T> arguments{};
    arguments.call = call.call<T>();
    const api::RecurrentDims& dims = arguments.call.dims;
    const std::array<index_t, 3> output_shape{dims.batch, dims.steps, dims.outputs()};
    arguments.y = input_sequence<T>(y, output_shape, "y");
    const py::array packed = call.weights->backward();
    arguments.packed = static_cast<const T*>(packed.data());
    arguments.tape = tape_memory<T>(call, tape);
    const auto checkpoints_shape = call.checkpoints_shape();
    if (checkpoints_shape) {
      if (!checkpoints) fail("checkpoints", "must be given");
      arguments.checkpoints = input<T>(checkpoints, *checkpoints_shape, "checkpoints");
    }
    arguments.bound = static_cast<T>(bound);
    if (dy) arguments.dy = input_sequence<T>(*dy, output_shape, "dy");
    if (dx) arguments.dx = output_sequence<T>(*dx, {dims.batch, dims.steps, dims.inputs}, "dx");
    fill_states(arguments.dfinal_state, dfinal_state, facts, dims, "dfinal_state",
                [&](const OptionalArray& array, index_t size) {
                  return input<T>(array, Matrix{dims.batch, size}, "dfinal_state");
                });
    py::tuple result(3);
    result[0] = new_states(arguments.dstate, facts, dims);
    result[1] = py::none();
    if (with_reset_state) result[1] = new_states(arguments.dreset_state, facts, dims);
    result[2] = new_gradients(arguments.gradients, *call.weights);
    arguments.workspace = scratch<T>(kernel.backward_workspace(dims, arguments.call.threads));
    without_interpreter(call.operations(), [&] { kernel.backward(arguments); });
    return result;
  });
}

}  // namespace

void bind_recurrent(py::module_& module) {
  using py::arg;
  module.def("recurrent_forward", &recurrent_forward, arg("call"), arg("y"), arg("states"), arg("tape"),
             arg("checkpoints"));
  module.def("recurrent_backward", &recurrent_backward, arg("call"), arg("y"), arg("tape"),
             arg("checkpoints"), arg("bound"), arg("dy"), arg("dfinal_state"), arg("dx"),
             arg("with_reset_state"));
}

}  // namespace rnnfast::python
