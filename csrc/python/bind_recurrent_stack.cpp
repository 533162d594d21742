// Stacked recurrent layers over whole sequences: all layers and directions in one call. Backward is in
// recurrent_stack_backward.cpp.
#include "python/recurrent_stack.hpp"

namespace rnnfast::python {
namespace {

// Everything that forward is told, for each k or each layer.
struct Stack {
  Weights weights;
  std::vector<RecurrentSettings*> settings;
  StatesByK state, reset_state;
  OptionalArray lengths, resets;
  std::vector<py::object> input_masks;  // of every layer
  Arrays hidden_masks;
  bool time_major, return_states;

  std::size_t layers() const { return input_masks.size(); }
  std::size_t directions() const { return weights.size() / layers(); }

  void check() const {
    const std::size_t count = weights.size();
    const auto by_k = [count](const StatesByK& all) { return !all || all->size() == count; };
    if (count == 0 || layers() == 0 || count % layers() != 0 || directions() > 2)
      fail("weights", "must be of one or two directions of every layer");
    if (settings.size() != count || hidden_masks.size() != count || !by_k(state) || !by_k(reset_state))
      fail("settings, masks, states", "must be as many as there are weights");
    const PackedWeights& first = *weights.front();
    for (const auto& own : weights) {
      if (own->cell != first.cell || own->variant != first.variant || own->hidden != first.hidden ||
          own->projection != first.projection || own->is_double != first.is_double)
        fail("weights", "must fit together");
    }
  }

  // -> (y of every layer, final states, for each k the other states of every step)
  template <class T>
  py::tuple run(py::object x, StackTape& tape) const {
    const api::CellFacts& facts = weights.front()->facts();
    const Arrays absent(static_cast<std::size_t>(facts.states));
    const bool training = !tape.memory.is_none();
    py::list all_y, finals, every;
    index_t room = 0;
    for (std::size_t k = 0; k < weights.size(); ++k) {
      const std::size_t direction = k % directions();
      const py::object& mask = input_masks[k / directions()];
      if (direction == 0 && !mask.is_none()) x = x * mask;
      auto call = std::make_unique<RecurrentCall>(
          weights[k], *settings[k], py::array(x), state ? (*state)[k] : absent,
          reset_state ? (*reset_state)[k] : absent, lengths, resets, hidden_masks[k]);
      api::RecurrentForward<T> arguments{};
      arguments.call = call->call<T>();
      const api::RecurrentDims& dims = arguments.call.dims;
      const index_t columns = static_cast<index_t>(directions()) * dims.outputs();
      if (direction == 0) {
        all_y.append(new_sequence<T>(dims.batch, dims.steps, columns, time_major));
        tape.layers.push_back({mask, all_y[all_y.size() - 1]});
      }
      const py::object& y = tape.layers.back().y;
      arguments.y = of_direction(output_sequence<T>(py::array(y), {dims.batch, dims.steps, columns}, "y"),
                                 direction, dims);
      if (k == 0) finals = new_states_of_all<T>(facts, dims, weights.size());
      place_states(arguments.final_state, finals, k);
      if (return_states) every.append(other_states(facts, arguments));
      StackTape::Direction kept;
      if (const auto shape = call->checkpoints_shape(); training && shape) {
        kept.checkpoints = py::array(new_array<T>(*shape));
        arguments.checkpoints = data_of<T>(kept.checkpoints->ptr());
      } else if (training) {
        if (k == 0) tape.values = take<T>(tape.memory, size_of_tapes(*call));
        kept.place = room;
        room += tape_size(*call);
        arguments.tape = data_of<T>(tape.values.ptr()) + kept.place;
      }
      const api::RecurrentKernels<T>& kernel = weights[k]->kernel<T>();
      arguments.workspace = scratch<T>(kernel.forward_workspace(dims, arguments.call.threads));
      without_interpreter(call->operations(), [&] { kernel.forward(arguments); });
      if (direction + 1 == directions()) x = y;
      if (!training) continue;
      kept.call = std::move(call);
      tape.directions.push_back(std::move(kept));
    }
    return py::make_tuple(all_y, finals, every);
  }

  // All tapes have as many rows as that of `first`.
  index_t size_of_tapes(const RecurrentCall& first) const {
    index_t columns = 0;
    for (std::size_t k = 0; k < weights.size(); ++k)
      columns += weights[k]->tape_row(hidden_masks[k].has_value());
    return first.tape_shape()[0] * columns;
  }

  template <class T>
  py::list other_states(const api::CellFacts& facts, api::RecurrentForward<T>& arguments) const {
    const api::RecurrentDims& dims = arguments.call.dims;
    py::list others;
    for (int s = 1; s < facts.states; ++s) {
      others.append(new_sequence<T>(dims.batch, dims.steps, dims.hidden, time_major));
      const py::array array(others[others.size() - 1]);
      arguments.states[s] = output_sequence<T>(array, {dims.batch, dims.steps, dims.hidden}, "states");
    }
    return others;
  }
};

// -> (y of every layer, final states [K, N, size], for each k the other states of every step, tape or None)
py::tuple stack_forward(const Weights& weights, const std::vector<RecurrentSettings*>& settings,
                        const py::array& x, const StatesByK& state, const StatesByK& reset_state,
                        const OptionalArray& lengths, const OptionalArray& resets,
                        const std::vector<py::object>& input_masks, const Arrays& hidden_masks,
                        bool time_major, bool return_states, const py::object& memory) {
  const Stack stack{weights, settings,    state,        reset_state, lengths,
                    resets,  input_masks, hidden_masks, time_major,  return_states};
  stack.check();
  auto tape = std::make_shared<StackTape>();
  tape->memory = memory;
  const py::tuple result =
      by_width(weights.front()->is_double, [&](auto zero) { return stack.run<decltype(zero)>(x, *tape); });
  return py::make_tuple(result[0], result[1], result[2], memory.is_none() ? py::none() : py::cast(tape));
}

}  // namespace

void bind_recurrent_stack(py::module_& module) {
  using py::arg;
  py::class_<StackTape, std::shared_ptr<StackTape>>(module, "StackTape");
  module.def("stack_forward", &stack_forward, arg("weights"), arg("settings"), arg("x"), arg("state"),
             arg("reset_state"), arg("lengths"), arg("resets"), arg("input_masks"), arg("hidden_masks"),
             arg("time_major"), arg("return_states"), arg("memory"));
  module.def("stack_backward", &stack_backward, arg("tape"), arg("dy"), arg("dfinal_state"), arg("bound"),
             arg("with_reset_state"));
}

}  // namespace rnnfast::python
