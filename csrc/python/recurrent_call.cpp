#include "python/recurrent_call.hpp"

namespace rnnfast::python {
namespace {

// The bytes from the first to the last element.
struct Extent {
  std::uintptr_t begin, end;

  explicit Extent(const py::array& array)
      : begin(reinterpret_cast<std::uintptr_t>(array.data())), end(begin) {
    if (array.size() == 0) return;
    for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
      const py::ssize_t reach = (array.shape(axis) - 1) * array.strides(axis);
      (reach < 0 ? begin : end) += static_cast<std::uintptr_t>(reach);
    }
    end += static_cast<std::uintptr_t>(array.itemsize());
  }
  bool meets(const py::array& array) const {
    const Extent other(array);
    return array.size() > 0 && begin < other.end && other.begin < end;
  }
};

}  // namespace

PackedWeights::PackedWeights(int number, const std::string& norm, const py::array& weight_ih,
                             const py::array& weight_hh, const OptionalArray& bias_ih,
                             const OptionalArray& bias_hh, const OptionalArray& weight_hr,
                             const py::dict& unit_weights)
    : variant(&backend::active()),
      cell(number),
      layer_norm(read_layer_norm(norm)),
      arrays_{weight_ih, weight_hh, bias_ih, bias_hh, weight_hr} {
  const index_t gates = cell_facts(cell).gates;
  if (weight_ih.ndim() != 2 || weight_hh.ndim() != 2) fail("weight_ih, weight_hh", "must have two axes");
  if (weight_hr && weight_hr->ndim() != 2) fail("weight_hr", "must have two axes");
  if (bias_ih.has_value() != bias_hh.has_value()) fail("bias_ih, bias_hh", "must be given together");
  inputs = weight_ih.shape(1);
  const index_t outputs = weight_hh.shape(1);
  projection = weight_hr ? outputs : 0;
  hidden = weight_hr ? weight_hr->shape(1) : outputs;
  check_options(dims(), facts());
  by_dtype(weight_ih, "weight_ih", [&](auto zero) {
    using T = decltype(zero);
    is_double = std::is_same_v<T, double>;
    input<T>(weight_ih, std::array<index_t, 2>{gates * hidden, inputs}, "weight_ih");
    input<T>(weight_hh, std::array<index_t, 2>{gates * hidden, outputs}, "weight_hh");
    input<T>(weight_hr, std::array<index_t, 2>{projection, hidden}, "weight_hr");
    input<T>(bias_ih, std::array<index_t, 1>{gates * hidden}, "bias_ih");
    input<T>(bias_hh, std::array<index_t, 1>{gates * hidden}, "bias_hh");
  });
  take_unit_weights(unit_weights);
  forward_ = pack(false);
}

std::shared_ptr<PackedWeights> PackedWeights::renewed(const py::dict& unit_weights) const {
  auto result = std::make_shared<PackedWeights>(*this);
  result->take_unit_weights(unit_weights);
  result->forward_ = result->pack(false);
  result->backward_.reset();
  return result;
}

void PackedWeights::take_unit_weights(const py::dict& unit_weights) {
  unit_arrays_ = unit_weights;
  by_width(is_double, [&](auto zero) {
    using T = decltype(zero);
    unit = python::unit_weights<const T>(unit_weights, facts(), dims());
  });
}

py::array PackedWeights::backward() {
  if (!backward_) backward_ = pack(true);
  return *backward_;
}

index_t PackedWeights::tape_row(bool masked) const {
  api::RecurrentDims all = dims();
  all.masked = masked;
  return by_width(is_double, [&](auto zero) { return kernel<decltype(zero)>().tape_row(all); });
}

py::array PackedWeights::pack(bool for_backward) const {
  return by_width(is_double, [&](auto zero) -> py::array {
    using T = decltype(zero);
    const auto data = [&](int which) -> const T* {
      const OptionalArray& array = arrays_[static_cast<std::size_t>(which)];
      return array ? static_cast<const T*>(array->data()) : nullptr;
    };
    const api::RecurrentKernels<T>& own = kernel<T>();
    py::array_t<T> packed(
        (for_backward ? own.backward_packed_size : own.forward_packed_size)(inputs, hidden, projection));
    const api::RecurrentWeights<T> weights{inputs,  hidden,  projection,           data(0), data(1), data(4),
                                           data(2), data(3), packed.mutable_data()};
    without_interpreter(static_cast<double>(packed.size()),
                        [&] { (for_backward ? own.pack_backward : own.pack_forward)(weights); });
    return packed;
  });
}

RecurrentSettings::RecurrentSettings(int cell, bool run_reverse, index_t segment_steps,
                                     const std::vector<double>& rates, bool training,
                                     const std::vector<std::array<std::uint32_t, 4>>& keys)
    : reverse(run_reverse), recompute(segment_steps), states(cell_facts(cell).states), zoneout{} {
  if (recompute < 0) fail("recompute", "must not be negative");
  const std::size_t count = rates.size();
  if (count != static_cast<std::size_t>(states) || keys.size() != count)
    fail("zoneout", "must have a rate and a key for every state");
  zoneout.training = training;
  for (std::size_t s = 0; s < count; ++s) {
    if (!(rates[s] >= 0 && rates[s] < 1)) fail("zoneout_rates", "must be in [0, 1)");
    zoneout.rate[s] = rates[s];
    zoneout.key[s] = {{keys[s][0], keys[s][1]}, keys[s][2], keys[s][3]};
  }
}

RecurrentCall::RecurrentCall(std::shared_ptr<PackedWeights> packed, const RecurrentSettings& settings,
                             const py::array& x, const Arrays& state, const Arrays& reset_state,
                             const OptionalArray& lengths, const OptionalArray& resets,
                             const OptionalArray& hidden_mask)
    : weights(std::move(packed)),
      x_(x),
      state_(state),
      reset_state_(reset_state),
      resets_(resets),
      hidden_mask_(hidden_mask) {
  if (settings.states != weights->facts().states) fail("settings", "are of another cell");
  if (x.ndim() != 3) fail("x", "must have three axes (N, T, I)");
  if (lengths) lengths_ = py::array::ensure(lengths->attr("copy")());
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    if (std::is_same_v<T, double> != weights->is_double) fail("x", "must have the dtype of the weights");
    read<T>(settings);
  });
}

template <class T>
void RecurrentCall::read(const RecurrentSettings& settings) {
  const api::CellFacts& facts = weights->facts();
  api::RecurrentCall<T>& call = call_.emplace<api::RecurrentCall<T>>();
  call.dims = weights->dims();
  api::RecurrentDims& dims = call.dims;
  batch_ = dims.batch = x_.shape(0);
  steps_ = dims.steps = x_.shape(1);
  dims.masked = hidden_mask_.has_value();
  dims.segment = settings.recompute > 0 && settings.recompute < dims.steps ? settings.recompute : dims.steps;
  if (dims.segment < 1) dims.segment = 1;
  call.reverse = settings.reverse;
  call.threads = parallel::thread_count();
  call.x = input_sequence<T>(x_, {dims.batch, dims.steps, dims.inputs}, "x");
  fill_states(call.state, state_, facts, dims, "state", [&](const OptionalArray& array, index_t size) {
    return input<T>(array, std::array<index_t, 2>{dims.batch, size}, "state");
  });
  fill_states(call.reset_state, reset_state_, facts, dims, "reset_state",
              [&](const OptionalArray& array, index_t size) {
                return input<T>(array, std::array<index_t, 1>{size}, "reset_state");
              });
  const index_t longest = dims.segment < dims.steps ? dims.segment : dims.steps;
  rows_ = dims.batch * longest;
  if (lengths_) {
    call.lengths = input<std::int64_t>(*lengths_, std::array<index_t, 1>{dims.batch}, "lengths");
    rows_ = 0;
    for (index_t n = 0; n < dims.batch; ++n) {
      const auto length = static_cast<index_t>(call.lengths[n]);
      if (length < 0 || length > dims.steps) fail("lengths", "must be in 0 … T");
      rows_ += length < longest ? length : longest;
    }
  }
  if (resets_) {
    check_shape<bool>(*resets_, std::array<index_t, 2>{dims.batch, dims.steps}, "resets");
    call.resets = {static_cast<const bool*>(resets_->data()), resets_->strides(0), resets_->strides(1)};
  }
  call.hidden_mask =
      input<T>(hidden_mask_, std::array<index_t, 2>{dims.batch, dims.outputs()}, "hidden_mask");
  call.zoneout = settings.zoneout;
  call.unit = std::get<api::UnitWeights<const T>>(weights->unit);
  call.packed = static_cast<const T*>(weights->forward().data());
}

std::array<index_t, 2> RecurrentCall::tape_shape() const {
  return {rows_, weights->tape_row(hidden_mask_.has_value())};
}

std::optional<std::array<index_t, 4>> RecurrentCall::checkpoints_shape() const {
  return std::visit(
      [&](const auto& call) -> std::optional<std::array<index_t, 4>> {
        const api::RecurrentDims& dims = call.dims;
        if (dims.segment >= dims.steps) return std::nullopt;
        return std::array<index_t, 4>{dims.segments(), weights->facts().states - 1, dims.batch, dims.hidden};
      },
      call_);
}

void RecurrentCall::check_written(const py::array& written, const Arrays& others) const {
  if (written.size() == 0) return;
  for (py::ssize_t axis = 0; axis < written.ndim(); ++axis) {
    if (written.strides(axis) == 0 && written.shape(axis) > 1) fail("y, states", "must have no stride of 0");
  }
  const Extent own(written);
  const auto refuse = [&](const OptionalArray& array) {
    if (array && own.meets(*array)) fail("y, states", "must not share memory with what is read or written");
  };
  refuse(x_);
  for (const Arrays* arrays : {&state_, &reset_state_, &others}) {
    for (const OptionalArray& array : *arrays) refuse(array);
  }
  refuse(resets_);
  refuse(hidden_mask_);
  for (const auto& item : weights->unit_arrays()) refuse(item.second.cast<py::array>());
}

}  // namespace rnnfast::python
