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
};

template <class T>
class StackForward {
 public:
  StackForward(const Stack& stack, StackTape& tape)
      : stack_(stack),
        tape_(tape),
        facts_(stack.weights.front()->facts()),
        training_(!tape.memory.is_none()),
        absent_(static_cast<std::size_t>(facts_.states)) {}

  // -> (y of every layer, or of the last where nobody needs the others; final states; for each k the other
  // states of every step)
  py::tuple run(py::object x) {
    for (const py::object& mask : stack_.input_masks) {
      if (!mask.is_none()) x = x * mask;
      for (std::size_t direction = 0; direction < stack_.directions(); ++direction)
        run_direction(direction, py::array(x), mask);
      x = tape_.layers.back().y;
    }
    return py::make_tuple(all_y_, finals_, every_);
  }

 private:
  void run_direction(std::size_t direction, const py::array& x, const py::object& mask) {
    const std::size_t k = k_++;
    const PackedWeights& weights = *stack_.weights[k];
    const auto states = [&](const StatesByK& all) -> const Arrays& { return all ? (*all)[k] : absent_; };
    auto call = std::make_unique<RecurrentCall>(stack_.weights[k], *stack_.settings[k], x,
                                                states(stack_.state), states(stack_.reset_state),
                                                stack_.lengths, stack_.resets, stack_.hidden_masks[k]);
    api::RecurrentForward<T> arguments{};
    arguments.call = call->template call<T>();
    const api::RecurrentDims& dims = arguments.call.dims;
    const index_t columns = static_cast<index_t>(stack_.directions()) * dims.outputs();
    if (direction == 0)
      begin_layer(mask, new_sequence<T>(dims.batch, dims.steps, columns, stack_.time_major));
    arguments.y = of_direction(
        output_sequence<T>(py::array(tape_.layers.back().y), {dims.batch, dims.steps, columns}, "y"),
        direction, dims);
    if (k == 0) finals_ = new_states_of_all<T>(facts_, dims, stack_.weights.size());
    place_states(arguments.final_state, finals_, k);
    if (stack_.return_states) every_.append(other_states(arguments));
    StackTape::Direction kept;
    if (training_) keep(*call, kept, arguments);
    const api::RecurrentKernels<T>& kernel = weights.kernel<T>();
    arguments.workspace = scratch<T>(kernel.forward_workspace(dims, arguments.call.threads));
    without_interpreter(call->operations(), [&] { kernel.forward(arguments); });
    kept.call = std::move(call);
    if (training_) tape_.directions.push_back(std::move(kept));
  }

  void begin_layer(const py::object& mask, const py::object& y) {
    if (!training_ && !stack_.return_states) {
      all_y_ = py::list();
      tape_.layers.clear();
    }
    all_y_.append(y);
    tape_.layers.push_back({mask, y});
  }

  // Room for the tape, or for the states that it can be made again from.
  void keep(const RecurrentCall& call, StackTape::Direction& kept, api::RecurrentForward<T>& arguments) {
    if (const auto shape = call.checkpoints_shape()) {
      kept.checkpoints = py::array(new_array<T>(*shape));
      arguments.checkpoints = data_of<T>(kept.checkpoints->ptr());
      return;
    }
    if (!tape_.values) tape_.values = take<T>(tape_.memory, size_of_tapes(call));
    kept.place = taken_;
    taken_ += tape_size(call);
    arguments.tape = data_of<T>(tape_.values.ptr()) + kept.place;
  }

  // All tapes have as many rows as that of `call`.
  index_t size_of_tapes(const RecurrentCall& call) const {
    index_t columns = 0;
    for (std::size_t k = 0; k < stack_.weights.size(); ++k)
      columns += stack_.weights[k]->tape_row(stack_.hidden_masks[k].has_value());
    return call.tape_shape()[0] * columns;
  }

  py::list other_states(api::RecurrentForward<T>& arguments) const {
    const api::RecurrentDims& dims = arguments.call.dims;
    py::list others;
    for (int s = 1; s < facts_.states; ++s) {
      others.append(new_sequence<T>(dims.batch, dims.steps, dims.hidden, stack_.time_major));
      const py::array array(others[others.size() - 1]);
      arguments.states[s] = output_sequence<T>(array, {dims.batch, dims.steps, dims.hidden}, "states");
    }
    return others;
  }

  const Stack& stack_;
  StackTape& tape_;
  const api::CellFacts& facts_;
  const bool training_;
  const Arrays absent_;
  std::size_t k_ = 0;  // of the next direction
  index_t taken_ = 0;  // of the room for tapes
  py::list all_y_, finals_, every_;
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
  const py::tuple result = by_width(weights.front()->is_double, [&](auto zero) {
    return StackForward<decltype(zero)>(stack, *tape).run(x);
  });
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
