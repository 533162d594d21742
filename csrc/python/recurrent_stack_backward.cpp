// Stacked recurrent layers over whole sequences, backward: the last layer first.
#include "python/recurrent_stack.hpp"

namespace rnnfast::python {
namespace {

template <class T>
class StackBackward {
 public:
  // What the caller gave is checked here, before the first kernel uses a tape up.
  StackBackward(StackTape& tape, py::object dy, const StatesByK& dfinal_state, double bound,
                bool with_reset_state)
      : tape_(tape),
        directions_(tape.directions.size() / tape.layers.size()),
        facts_(tape.directions.front().call->weights->facts()),
        all_(tape.directions.size()),
        dy_(std::move(dy)),
        gradients_(tape.directions.size()) {
    if (!(bound > 0)) fail("bound", "must be above 0");
    for (std::size_t k = 0; k < all_.size(); ++k) {
      api::RecurrentBackward<T>& arguments = all_[k];
      arguments.call = tape.directions[k].call->template call<T>();
      arguments.bound = static_cast<T>(bound);
      if (!dfinal_state) continue;
      const api::RecurrentDims& dims = arguments.call.dims;
      fill_states(arguments.dfinal_state, dfinal_state->at(k), facts_, dims, "dfinal_state",
                  [&](const OptionalArray& array, index_t size) {
                    return input<T>(array, std::array<index_t, 2>{dims.batch, size}, "dfinal_state");
                  });
    }
    const api::RecurrentDims& dims = all_.front().call.dims;
    shape_ = {dims.batch, dims.steps, static_cast<index_t>(directions_) * dims.outputs()};
    if (!dy_.is_none()) input_sequence<T>(py::array(dy_), shape_, "dy");
    dstate_ = new_states_of_all<T>(facts_, dims, all_.size());
    if (with_reset_state) dreset_ = new_states_of_all<T>(facts_, dims, all_.size());
  }

  // -> (dx, dstate, dreset, gradients)
  py::tuple run() {
    if (!tape_.values) tape_.values = take<T>(tape_.memory, longest_tape());
    own_ = std::move(tape_.directions);
    tape_.directions.clear();
    for (std::size_t layer = tape_.layers.size(); layer-- > 0;) {
      py::object dx;
      for (std::size_t direction = 0; direction < directions_; ++direction) {
        const py::object part = run_direction(layer, direction);
        dx = direction == 0 ? part : py::object(dx + part);
      }
      const py::object& mask = tape_.layers[layer].input_mask;
      dy_ = mask.is_none() ? dx : py::object(dx * mask);
    }
    tape_.memory.attr("give_back")(tape_.values);
    tape_.values = py::object();
    return py::make_tuple(dy_, dstate_, dreset_, gradients_);
  }

 private:
  // -> the gradient of the layer's input
  py::object run_direction(std::size_t layer, std::size_t direction) {
    const std::size_t k = layer * directions_ + direction;
    RecurrentCall& call = *own_[k].call;
    api::RecurrentBackward<T>& arguments = all_[k];
    const api::RecurrentDims& dims = arguments.call.dims;
    const py::array packed = call.weights->backward();
    arguments.packed = static_cast<const T*>(packed.data());
    const auto part = [&](const py::object& y) {
      return of_direction(input_sequence<T>(py::array(y), shape_, "y, dy"), direction, dims);
    };
    arguments.y = part(tape_.layers[layer].y);
    if (!dy_.is_none()) arguments.dy = part(dy_);
    arguments.tape = data_of<T>(tape_.values.ptr()) + own_[k].place;
    if (own_[k].checkpoints) arguments.checkpoints = data_of<T>(own_[k].checkpoints->ptr());
    const py::array& x = call.x();
    const bool time_major = std::abs(x.strides(0)) < std::abs(x.strides(1));
    py::object dx = new_sequence<T>(dims.batch, dims.steps, dims.inputs, time_major);
    arguments.dx = output_sequence<T>(py::array(dx), {dims.batch, dims.steps, dims.inputs}, "dx");
    place_states(arguments.dstate, dstate_, k);
    if (!dreset_.empty()) place_states(arguments.dreset_state, dreset_, k);
    gradients_[k] = new_gradients(arguments.gradients, *call.weights);
    const api::RecurrentKernels<T>& kernel = call.weights->kernel<T>();
    arguments.workspace = scratch<T>(kernel.backward_workspace(dims, arguments.call.threads));
    without_interpreter(call.operations(), [&] { kernel.backward(arguments); });
    return dx;
  }

  // Tapes that are made again take turns in one place.
  index_t longest_tape() const {
    index_t longest = 0;
    for (const StackTape::Direction& direction : tape_.directions)
      longest = std::max(longest, tape_size(*direction.call));
    return longest;
  }

  StackTape& tape_;
  const std::size_t directions_;
  const api::CellFacts& facts_;
  std::vector<api::RecurrentBackward<T>> all_;  // by k
  std::vector<StackTape::Direction> own_;       // the tape's
  std::array<index_t, 3> shape_{};              // of y of every layer
  py::object dy_;                               // of the layer whose turn it is
  py::list dstate_, dreset_, gradients_;
};

}  // namespace

// -> (dx, gradients of the initial states [K, N, size], those of the states after cuts or none, for each k
// those of the weights)
py::tuple stack_backward(StackTape& tape, const py::object& dy, const StatesByK& dfinal_state, double bound,
                         bool with_reset_state) {
  if (tape.directions.empty()) fail("tape", "was used before");
  if (dfinal_state && dfinal_state->size() != tape.directions.size())
    fail("dfinal_state", "must be as many as there are weights");
  return by_width(tape.directions.front().call->weights->is_double, [&](auto zero) {
    return StackBackward<decltype(zero)>(tape, dy, dfinal_state, bound, with_reset_state).run();
  });
}

}  // namespace rnnfast::python
