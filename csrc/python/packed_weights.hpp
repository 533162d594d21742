// The weights of one direction of one recurrent layer as kernels read them, checked where they are packed.
#pragma once

#include <memory>
#include <variant>

#include "python/recurrent_arrays.hpp"

namespace rnnfast::python {

template <template <class> class Struct>
using OfEither = std::variant<Struct<float>, Struct<double>>;
template <class T>
using ConstUnitWeights = api::UnitWeights<const T>;

// Calls body(T{}) for the dtype.
template <class Body>
auto by_width(bool is_double, Body&& body) {
  return is_double ? body(double{}) : body(float{});
}

// Weights as the variant that was active reads them. The arrays they came from are kept: backward's form is
// made when it is first needed.
class PackedWeights {
 public:
  PackedWeights(int number, const std::string& norm, const py::array& weight_ih, const py::array& weight_hh,
                const OptionalArray& bias_ih, const OptionalArray& bias_hh, const OptionalArray& weight_hr,
                const py::dict& unit_weights);
  // The same arrays, written to since; weights of single units are others, as they are read where they lie.
  std::shared_ptr<PackedWeights> renewed(const py::dict& unit_weights) const;

  const py::dict& unit_arrays() const { return unit_arrays_; }
  const py::array& forward() const { return *forward_; }
  py::array backward();  // of the caller's own: another thread may be packing too
  index_t tape_row(bool masked) const;

  template <class T>
  const api::RecurrentKernels<T>& kernel() const {
    if constexpr (std::is_same_v<T, float>) {
      return variant->float32.recurrent[cell];
    } else {
      return variant->float64.recurrent[cell];
    }
  }
  bool with_bias() const { return arrays_[2].has_value(); }
  const api::CellFacts& facts() const { return variant->cells[cell]; }
  std::string description() const;  // for errors
  // The sizes that are not those of a call.
  api::RecurrentDims dims() const { return {0, 0, inputs, hidden, projection, layer_norm, false, 1}; }
  double operations(index_t rows) const {
    return 2.0 * static_cast<double>(rows) * static_cast<double>(facts().gates * hidden) *
           static_cast<double>(inputs + dims().outputs());
  }

  const api::Variant* variant;
  int cell;
  bool is_double;
  index_t inputs, hidden, projection;
  api::LayerNorm layer_norm;
  OfEither<ConstUnitWeights> unit;

 private:
  py::array pack(bool for_backward) const;
  void take_unit_weights(const py::dict& unit_weights);

  std::array<OptionalArray, 5> arrays_;  // weight_ih, weight_hh, bias_ih, bias_hh, weight_hr
  py::dict unit_arrays_;
  OptionalArray forward_, backward_;
};

}  // namespace rnnfast::python
