#include "python/packed_weights.hpp"

#include "python/plain_array.hpp"

namespace rnnfast::python {

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
    input<T>(weight_ih, Matrix{gates * hidden, inputs}, "weight_ih");
    input<T>(weight_hh, Matrix{gates * hidden, outputs}, "weight_hh");
    input<T>(weight_hr, Matrix{projection, hidden}, "weight_hr");
    input<T>(bias_ih, Flat{gates * hidden}, "bias_ih");
    input<T>(bias_hh, Flat{gates * hidden}, "bias_hh");
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

std::string PackedWeights::description() const {
  return std::string(is_double ? "float64 " : "float32 ") + facts().name + " of " + std::to_string(inputs) +
         " inputs and " + std::to_string(hidden) + " units" +
         (projection > 0 ? " with a projection to " + std::to_string(projection) : "");
}

py::array PackedWeights::pack(bool for_backward) const {
  return by_width(is_double, [&](auto zero) -> py::array {
    using T = decltype(zero);
    const auto data = [&](int which) -> const T* {
      const OptionalArray& array = arrays_[static_cast<std::size_t>(which)];
      return array ? static_cast<const T*>(array->data()) : nullptr;
    };
    const api::RecurrentKernels<T>& own = kernel<T>();
    py::array packed = new_packed<T>(
        (for_backward ? own.backward_packed_size : own.forward_packed_size)(inputs, hidden, projection));
    const api::RecurrentWeights<T> weights{
        inputs,  hidden,  projection, parallel::thread_count(), data(0), data(1),
        data(4), data(2), data(3),    data_of<T>(packed.ptr())};
    without_interpreter(static_cast<double>(packed.size()),
                        [&] { (for_backward ? own.pack_backward : own.pack_forward)(weights); });
    return packed;
  });
}

}  // namespace rnnfast::python
