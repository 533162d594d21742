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
    return input<T>(array, Matrix{dims.batch, size}, "state");
  });
  fill_states(
      call.reset_state, reset_state_, facts, dims, "reset_state",
      [&](const OptionalArray& array, index_t size) { return input<T>(array, Flat{size}, "reset_state"); });
  const index_t longest = dims.segment < dims.steps ? dims.segment : dims.steps;
  rows_ = dims.batch * longest;
  if (lengths_) {
    call.lengths = input<std::int64_t>(*lengths_, Flat{dims.batch}, "lengths");
    rows_ = 0;
    for (index_t n = 0; n < dims.batch; ++n) {
      const auto length = static_cast<index_t>(call.lengths[n]);
      if (length < 0 || length > dims.steps) fail("lengths", "must be in 0 … T");
      rows_ += length < longest ? length : longest;
    }
  }
  if (resets_) {
    check_shape<bool>(*resets_, Matrix{dims.batch, dims.steps}, "resets");
    call.resets = {static_cast<const bool*>(resets_->data()), resets_->strides(0), resets_->strides(1)};
  }
  call.hidden_mask = input<T>(hidden_mask_, Matrix{dims.batch, dims.outputs()}, "hidden_mask");
  call.zoneout = settings.zoneout;
  call.unit = std::get<api::UnitWeights<const T>>(weights->unit);
  call.packed = static_cast<const T*>(weights->forward().data());
}

Matrix RecurrentCall::tape_shape() const { return {rows_, weights->tape_row(hidden_mask_.has_value())}; }

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
