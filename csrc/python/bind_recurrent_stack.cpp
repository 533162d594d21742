// Stacked recurrent layers over whole sequences: all layers and directions in one call. Backward is in
// recurrent_stack_backward.cpp.
#include "python/recurrent_stack.hpp"
#include "python/stack_kernels.hpp"

namespace rnnfast::python {
namespace {

template <class T>
class StackForward {
 public:
  StackForward(const Stack& stack, StackTape& tape)
      : stack_(stack),
        tape_(tape),
        facts_(stack.weights.front()->facts()),
        training_(!tape.memory.is_none()),
        absent_(static_cast<std::size_t>(facts_.states)),
        all_(stack.weights.size()),
        kept_(stack.weights.size()) {}

  // -> (y of every layer, or of the last where nobody needs the others; final states; for each k the other
  // states of every step)
  py::tuple run(py::object x) {
    for (const py::object& mask : stack_.input_masks) {
      if (!mask.is_none()) {
        check_mask(mask, py::array(x));
        x = x * mask;
      }
      for (std::size_t d = 0; d < stack_.directions(); ++d) prepare(d, py::array(x), mask);
      x = tape_.layers.back().y;
      if (tape_.in_wave && prepared_ < all_.size()) continue;
      run_prepared();
      check_signals();
    }
    if (training_) tape_.directions = std::move(kept_);
    return py::make_tuple(all_y_, finals_, every_);
  }

 private:
  // [N, T, F], or the same at all steps.
  static void check_mask(const py::object& mask, const py::array& x) {
    if (!py::isinstance<py::array>(mask)) fail("input_masks", "must be arrays or None");
    const auto array = py::reinterpret_borrow<py::array>(mask);
    if (x.ndim() != 3) fail("x", "must have three axes (N, T, I)");
    const bool of_steps = array.ndim() == 3 && array.shape(1) == 1;
    check_shape<T>(array, std::array<index_t, 3>{x.shape(0), of_steps ? 1 : x.shape(1), x.shape(2)},
                   "input_masks");
  }

  // All that has been prepared since the last time: a layer, or all of them in a wave.
  void run_prepared() {
    std::vector<api::RecurrentForward<T>*> ready;
    double operations = 0;
    for (std::size_t k = run_; k < prepared_; ++k) {
      ready.push_back(&all_[k]);
      operations += kept_[k].call->operations();
    }
    const api::RecurrentKernels<T>& kernel = stack_.weights.front()->template kernel<T>();
    const StackOrder order = tape_.in_wave ? StackOrder::kInWave
                                           : order_of_directions(ready.size(), ready.front()->call.threads,
                                                                 kept_[run_].call->operations());
    StackKernels<T, api::RecurrentForward<T>> kernels(std::move(ready), order, kernel.forward,
                                                      kernel.forward_workspace);
    without_interpreter(operations, [&] { kernels.run(); });
    for (; run_ < prepared_; ++run_) {
      if (!training_) kept_[run_].call.reset();  // and with it the input of the layer
    }
  }

  bool suits_wave(const api::RecurrentCall<T>& call) const {
    if (stack_.layers() < 2 || stack_.directions() > 1 || call.dims.segment < call.dims.steps) return false;
    const auto is_masked = [](const py::object& mask) { return !mask.is_none(); };
    const auto second = stack_.input_masks.begin() + 1;
    if (std::any_of(second, stack_.input_masks.end(), is_masked)) return false;
    double of_row = 0, all = 0;
    for (const std::shared_ptr<PackedWeights>& weights : stack_.weights) {
      of_row = std::max(of_row, weights->operations(1));
      all += weights->operations(call.dims.batch * call.dims.steps);
    }
    return python::suits_wave(call.dims.batch, call.threads, of_row, all);
  }

  void prepare(std::size_t direction, const py::array& x, const py::object& mask) {
    const std::size_t k = prepared_++;
    StackTape::Direction& kept = kept_[k];
    const auto states = [&](const StatesByK& all) -> const Arrays& { return all ? (*all)[k] : absent_; };
    auto call = std::make_unique<RecurrentCall>(stack_.weights[k], *stack_.settings[k], x,
                                                states(stack_.state), states(stack_.reset_state),
                                                stack_.lengths, stack_.resets, stack_.hidden_masks[k]);
    api::RecurrentForward<T>& arguments = all_[k];
    arguments.call = call->template call<T>();
    const api::RecurrentDims& dims = arguments.call.dims;
    const index_t columns = static_cast<index_t>(stack_.directions()) * dims.outputs();
    if (direction == 0) begin_layer(mask, dims, columns);
    arguments.y = of_direction(
        output_sequence<T>(py::array(tape_.layers.back().y), {dims.batch, dims.steps, columns}, "y"),
        direction, dims);
    if (k == 0) {
      finals_ = new_states_of_all<T>(facts_, dims, stack_.weights.size());
      tape_.in_wave = suits_wave(arguments.call);
    }
    place_states(arguments.final_state, finals_, k);
    if (stack_.return_states) every_.append(other_states(arguments));
    if (training_) keep(*call, kept, arguments);
    kept.call = std::move(call);
  }

  // Where nobody needs y of the layers below, they are two arrays by turns. In a wave, too: who writes to one
  // again waits for who reads it.
  void begin_layer(const py::object& mask, const api::RecurrentDims& dims, index_t columns) {
    py::object y = std::move(before_last_);
    if (!y) y = new_sequence<T>(dims.batch, dims.steps, columns, stack_.time_major);
    if (!training_ && !stack_.return_states && !tape_.layers.empty()) {
      before_last_ = tape_.layers.back().y;
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
    if (!tape_.values) tape_.values = room_for_tapes<T>(tape_.memory, size_of_tapes(call));
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
  std::vector<api::RecurrentForward<T>> all_;  // by k
  std::vector<StackTape::Direction> kept_;     // by k
  std::size_t prepared_ = 0, run_ = 0;         // how many
  index_t taken_ = 0;                          // of the room for tapes
  py::object before_last_;                     // y, where the next layer may write to it
  py::list all_y_, finals_, every_;
};

// -> (y of every layer or of the last, final states [K, N, size], for each k the other states of every step,
// tape or None)
py::tuple stack_forward(StackWeights weights, std::vector<RecurrentSettings*> settings, const py::array& x,
                        StatesByK state, StatesByK reset_state, OptionalArray lengths, OptionalArray resets,
                        Objects input_masks, Arrays hidden_masks, bool time_major, bool return_states,
                        const py::object& memory) {
  const Stack stack{std::move(weights), std::move(settings), std::move(state),       std::move(reset_state),
                    std::move(lengths), std::move(resets),   std::move(input_masks), std::move(hidden_masks),
                    time_major,         return_states};
  stack.check();
  auto tape = std::make_shared<StackTape>();
  tape->memory = memory;
  const py::tuple result = by_width(stack.weights.front()->is_double, [&](auto zero) {
    return StackForward<decltype(zero)>(stack, *tape).run(x);
  });
  return py::make_tuple(result[0], result[1], result[2], memory.is_none() ? py::none() : py::cast(tape));
}

}  // namespace

void bind_recurrent_stack(py::module_& module) {
  using py::arg;
  py::class_<StackTape, std::shared_ptr<StackTape>>(module, "StackTape")
      .def_property_readonly("used", [](const StackTape& tape) { return tape.directions.empty(); });
  module.def("stack_forward", &stack_forward, arg("weights"), arg("settings"), arg("x"), py::kw_only(),
             arg("state"), arg("reset_state"), arg("lengths"), arg("resets"), arg("input_masks"),
             arg("hidden_masks"), arg("time_major"), arg("return_states"), arg("memory"));
  module.def("stack_backward", &stack_backward, arg("tape"), arg("dy"), py::kw_only(), arg("dstate"),
             arg("bound"), arg("with_reset_state"), arg("with_dx"), arg("targets"), arg("weight_masks"));
}

}  // namespace rnnfast::python
