// Stacked recurrent layers over whole sequences, backward: the last layer first.
#include "python/gradient_targets.hpp"
#include "python/masked_gradient.hpp"
#include "python/recurrent_stack.hpp"
#include "python/stack_kernels.hpp"

namespace rnnfast::python {
namespace {

template <class T>
class StackBackward {
 public:
  // What the caller gave is checked here, before the first kernel uses a tape up.
  StackBackward(StackTape& tape, const OptionalArray& dy, const StatesByK& dstate, double bound,
                bool with_reset_state, bool with_dx, const std::vector<Objects>& targets,
                const Objects& weight_masks)
      : tape_(tape),
        with_dx_(with_dx),
        directions_(tape.directions.size() / tape.layers.size()),
        facts_(tape.directions.front().call->weights->facts()),
        all_(tape.directions.size()),
        added_to_(tape.layers.size()),
        targets_(targets),
        weight_masks_(weight_masks),
        dy_(dy) {
    if (!(static_cast<T>(bound) > 0))
      fail("bound", "must be above 0 in the dtype of the weights, got " +
                        py::str(py::float_(bound)).template cast<std::string>());
    for (std::size_t k = 0; k < all_.size(); ++k) {
      api::RecurrentBackward<T>& arguments = all_[k];
      arguments.call = tape.directions[k].call->template call<T>();
      arguments.bound = static_cast<T>(bound);
      const GradientSet own = place_targets<T>(arguments.gradients, *tape.directions[k].call->weights,
                                               targets[k], "targets[" + std::to_string(k) + "]");
      added_to_[k / directions_].add(own);
      added_to_all_.add(own);
      if (!weight_masks[k].is_none())
        MaskedGradient<T>::check(weight_masks[k], *tape.directions[k].call->weights);
      if (!dstate) continue;
      const api::RecurrentDims& dims = arguments.call.dims;
      fill_states(arguments.dfinal_state, dstate->at(k), facts_, dims, "dstate",
                  [&](const OptionalArray& array, index_t size) {
                    return input<T>(array, Matrix{dims.batch, size}, "dstate");
                  });
    }
    const api::RecurrentDims& dims = all_.front().call.dims;
    shape_ = {dims.batch, dims.steps, static_cast<index_t>(directions_) * dims.outputs()};
    if (dy_) input_sequence<T>(*dy_, shape_, "dy");
    in_wave_ = tape.in_wave && !added_to_all_.overlapping;
    dstate_ = new_states_of_all<T>(facts_, dims, all_.size());
    if (with_reset_state) dreset_ = new_states_of_all<T>(facts_, dims, all_.size());
  }

  // -> (dx or None, dstate, dreset)
  py::tuple run() {
    own_.swap(tape_.directions);  // before anything that lets another thread run: it finds the tape used
    if (!tape_.values) tape_.values = room_for_tapes<T>(tape_.memory, longest_tape());
    for (std::size_t layer = tape_.layers.size(); layer-- > 0;) {
      for (std::size_t direction = 0; direction < directions_; ++direction)
        prepare(layer, direction, layer > 0 || with_dx_);
      if (in_wave_ && layer > 0) {
        dy_ = py::array(kept_.back().dx);
        continue;
      }
      const py::object dx = run_prepared(layer);
      check_signals();
      if (dx.is_none()) break;
      const py::object& mask = tape_.layers[layer].input_mask;
      dy_ = py::array(mask.is_none() ? dx : py::object(dx * mask));
    }
    tape_.memory.attr("give_back")(tape_.values);
    tape_.values = py::object();
    return py::make_tuple(with_dx_ ? py::object(*dy_) : py::none(), dstate_, dreset_);
  }

 private:
  static constexpr std::size_t kWeightHh = 1;  // among the targets

  // What a kernel reads and writes until it has run.
  struct Kept {
    std::size_t k;
    py::array packed;
    py::object dx;  // None where it is not wanted
    std::optional<MaskedGradient<T>> masked;
  };

  // All that has been prepared since the last time: a layer, or all of them in a wave. -> the gradient of the
  // input of `layer`, the last of them; None for that of x where it is not wanted
  py::object run_prepared(std::size_t layer) {
    std::vector<api::RecurrentBackward<T>*> ready;
    double operations = 0;
    std::vector<Kept> kept;
    kept.swap(kept_);
    for (const Kept& own : kept) {
      ready.push_back(&all_[own.k]);
      operations += own_[own.k].call->operations();
    }
    const RecurrentCall& call = *own_[layer * directions_].call;
    // Tapes that are made again take turns in one place.
    const bool in_turn = own_[layer * directions_].checkpoints.has_value() || added_to_[layer].overlapping;
    const StackOrder order =
        in_wave_  ? StackOrder::kInWave
        : in_turn ? StackOrder::kInTurn
                  : order_of_directions(ready.size(), ready.front()->call.threads, call.operations());
    const api::RecurrentKernels<T>& kernel = call.weights->template kernel<T>();
    StackKernels<T, api::RecurrentBackward<T>> kernels(std::move(ready), order, kernel.backward,
                                                       kernel.backward_workspace);
    {
      const GradientTurn turn(in_wave_ ? added_to_all_.all : added_to_[layer].all, operations);
      kernels.run();
      for (const Kept& own : kept) {
        if (own.masked) own.masked->add();
      }
    }
    const py::object& dx = kept.back().dx;
    return directions_ > 1 && !dx.is_none() ? py::object(kept.front().dx + dx) : dx;
  }

  void prepare(std::size_t layer, std::size_t direction, bool with_dx) {
    const std::size_t k = layer * directions_ + direction;
    RecurrentCall& call = *own_[k].call;
    api::RecurrentBackward<T>& arguments = all_[k];
    const api::RecurrentDims& dims = arguments.call.dims;
    Kept kept{k, call.weights->backward(), py::none(), std::nullopt};
    arguments.packed = static_cast<const T*>(kept.packed.data());
    const auto part = [&](const py::array& y) {
      return of_direction(input_sequence<T>(y, shape_, "y, dy"), direction, dims);
    };
    arguments.y = part(py::array(tape_.layers[layer].y));
    if (dy_) arguments.dy = part(*dy_);
    arguments.tape = data_of<T>(tape_.values.ptr()) + own_[k].place;
    if (own_[k].checkpoints) arguments.checkpoints = data_of<T>(own_[k].checkpoints->ptr());
    if (with_dx) {
      const py::array& x = call.x();
      const bool time_major = std::abs(x.strides(0)) < std::abs(x.strides(1));
      // Two arrays by turns, as y at inference, but for that of x, which may be wider.
      const bool again = in_wave_ && layer > 0 && kept_.size() > 1;
      kept.dx = again ? kept_[kept_.size() - 2].dx
                      : new_sequence<T>(dims.batch, dims.steps, dims.inputs, time_major);
      arguments.dx = output_sequence<T>(py::array(kept.dx), {dims.batch, dims.steps, dims.inputs}, "dx");
    }
    place_states(arguments.dstate, dstate_, k);
    if (!dreset_.empty()) place_states(arguments.dreset_state, dreset_, k);
    if (!weight_masks_[k].is_none()) {
      kept.masked.emplace(py::reinterpret_borrow<py::array>(weight_masks_[k]),
                          data_of<T>(targets_[k][kWeightHh].ptr()));
      arguments.gradients.dweight_hh = kept.masked->values();
    }
    kept_.push_back(std::move(kept));
  }

  index_t longest_tape() const {
    index_t longest = 0;
    for (const StackTape::Direction& direction : own_)
      longest = std::max(longest, tape_size(*direction.call));
    return longest;
  }

  StackTape& tape_;
  const bool with_dx_;
  const std::size_t directions_;
  const api::CellFacts& facts_;
  std::vector<api::RecurrentBackward<T>> all_;  // by k
  std::vector<JointGradients> added_to_;        // by layer
  JointGradients added_to_all_;
  bool in_wave_ = false;
  std::vector<Kept> kept_;                 // of kernels that wait to be run
  std::vector<StackTape::Direction> own_;  // the tape's
  std::array<index_t, 3> shape_{};         // of y of every layer
  const std::vector<Objects>& targets_;    // by k
  const Objects& weight_masks_;            // by k
  OptionalArray dy_;                       // of the layer whose turn it is
  py::list dstate_, dreset_;
};

}  // namespace

// -> (dx or None, gradients of the initial states [K, N, size], those of the states after cuts or none)
py::tuple stack_backward(StackTape& tape, const OptionalArray& dy, const StatesByK& dstate, double bound,
                         bool with_reset_state, bool with_dx, const std::vector<Objects>& targets,
                         const Objects& weight_masks) {
  const std::size_t count = tape.directions.size();
  if (count == 0) {
    throw std::runtime_error(
        "stack_backward: tape was used before; a tape serves one backward call, run forward again");
  }
  check_by_k("dstate", dstate, count);
  check_by_k("targets", targets, count);
  check_by_k("weight_masks", weight_masks, count);
  return by_width(tape.directions.front().call->weights->is_double, [&](auto zero) {
    return StackBackward<decltype(zero)>(tape, dy, dstate, bound, with_reset_state, with_dx, targets,
                                         weight_masks)
        .run();
  });
}

}  // namespace rnnfast::python
