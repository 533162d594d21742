// Stacked recurrent layers over whole sequences, backward: the last layer first.
#include "python/recurrent_stack.hpp"

namespace rnnfast::python {
namespace {

// Sums over both directions, and the mask.
py::object gradient_of_input(const py::list& parts, const py::object& mask) {
  py::object dx = parts[0];
  if (parts.size() == 2) dx = dx + parts[1];
  return mask.is_none() ? dx : dx * mask;
}

template <class T>
py::tuple backward_of(StackTape& tape, py::object dy, const StatesByK& dfinal_state, double bound,
                      bool with_reset_state) {
  const std::size_t count = tape.directions.size(), directions = count / tape.layers.size();
  const RecurrentCall& first = *tape.directions.front().call;
  const api::CellFacts& facts = first.weights->facts();
  // What the caller gave is checked before the first kernel uses a tape up.
  std::vector<api::RecurrentBackward<T>> all(count);
  index_t room = 0;
  for (std::size_t k = 0; k < count; ++k) {
    RecurrentCall& call = *tape.directions[k].call;
    const api::RecurrentDims& dims = (all[k].call = call.call<T>()).dims;
    if (dfinal_state) {
      fill_states(all[k].dfinal_state, dfinal_state->at(k), facts, dims, "dfinal_state",
                  [&](const OptionalArray& array, index_t size) {
                    return input<T>(array, std::array<index_t, 2>{dims.batch, size}, "dfinal_state");
                  });
    }
    room = std::max(room, tape_size(call));
  }
  const api::RecurrentDims& dims = all.front().call.dims;
  const std::array<index_t, 3> shape{dims.batch, dims.steps,
                                     static_cast<index_t>(directions) * dims.outputs()};
  if (!dy.is_none()) input_sequence<T>(py::array(dy), shape, "dy");
  const bool again = !tape.values;
  if (again) tape.values = take<T>(tape.memory, room);
  const py::list dstate = new_states_of_all<T>(facts, dims, count);
  const py::list dreset = with_reset_state ? new_states_of_all<T>(facts, dims, count) : py::list();
  py::list gradients(count);
  const std::vector<StackTape::Direction> own = std::move(tape.directions);
  tape.directions.clear();
  for (std::size_t layer = tape.layers.size(); layer-- > 0;) {
    py::list dinputs;
    for (std::size_t k = layer * directions; k < (layer + 1) * directions; ++k) {
      const std::size_t direction = k % directions;
      RecurrentCall& call = *own[k].call;
      api::RecurrentBackward<T>& arguments = all[k];
      const py::array packed = call.weights->backward();
      arguments.packed = static_cast<const T*>(packed.data());
      arguments.y =
          of_direction(input_sequence<T>(py::array(tape.layers[layer].y), shape, "y"), direction, dims);
      if (!dy.is_none())
        arguments.dy = of_direction(input_sequence<T>(py::array(dy), shape, "dy"), direction, dims);
      arguments.tape = data_of<T>(tape.values.ptr()) + own[k].place;
      if (own[k].checkpoints) arguments.checkpoints = data_of<T>(own[k].checkpoints->ptr());
      arguments.bound = static_cast<T>(bound);
      const index_t inputs = arguments.call.dims.inputs;
      const bool time_major = std::abs(call.x().strides(0)) < std::abs(call.x().strides(1));
      dinputs.append(new_sequence<T>(dims.batch, dims.steps, inputs, time_major));
      arguments.dx =
          output_sequence<T>(py::array(dinputs[direction]), {dims.batch, dims.steps, inputs}, "dx");
      place_states(arguments.dstate, dstate, k);
      if (with_reset_state) place_states(arguments.dreset_state, dreset, k);
      gradients[k] = new_gradients(arguments.gradients, *call.weights);
      const api::RecurrentKernels<T>& kernel = call.weights->kernel<T>();
      arguments.workspace =
          scratch<T>(kernel.backward_workspace(arguments.call.dims, arguments.call.threads));
      without_interpreter(call.operations(), [&] { kernel.backward(arguments); });
    }
    dy = gradient_of_input(dinputs, tape.layers[layer].input_mask);
  }
  tape.memory.attr("give_back")(tape.values);
  tape.values = py::object();
  return py::make_tuple(dy, dstate, dreset, gradients);
}

}  // namespace

// -> (dx, gradients of the initial states [K, N, size], those of the states after cuts or none, for each k
// those of the weights)
py::tuple stack_backward(StackTape& tape, const py::object& dy, const StatesByK& dfinal_state, double bound,
                         bool with_reset_state) {
  if (tape.directions.empty()) fail("tape", "was used before");
  if (dfinal_state && dfinal_state->size() != tape.directions.size())
    fail("dfinal_state", "must be as many as there are weights");
  return by_width(tape.directions.front().call->weights->is_double, [&](auto zero) {
    return backward_of<decltype(zero)>(tape, dy, dfinal_state, bound, with_reset_state);
  });
}

}  // namespace rnnfast::python
