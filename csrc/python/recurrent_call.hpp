// What Python keeps between calls of one direction of one recurrent layer: its packed weights, its settings,
// and what forward and backward of one call agree on. Everything is checked where it is made, and not again.
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

// What ops says of a call besides its arrays.
struct RecurrentSettings {
  RecurrentSettings(int cell, bool run_reverse, index_t segment_steps, const std::vector<double>& rates,
                    bool training, const std::vector<std::array<std::uint32_t, 4>>& keys);

  bool reverse;
  index_t recompute;  // 0: the tape is kept whole
  int states;
  api::Zoneout zoneout;
};

class RecurrentCall {
 public:
  RecurrentCall(std::shared_ptr<PackedWeights> packed, const RecurrentSettings& settings, const py::array& x,
                const Arrays& state, const Arrays& reset_state, const OptionalArray& lengths,
                const OptionalArray& resets, const OptionalArray& hidden_mask);

  // Rows of the longest segment, which is the first, and their size.
  std::array<index_t, 2> tape_shape() const;
  // (segments, states - 1, N, H) where the tape is recomputed.
  std::optional<std::array<index_t, 4>> checkpoints_shape() const;
  template <class T>
  api::RecurrentCall<T>& call() {
    return std::get<api::RecurrentCall<T>>(call_);
  }
  // An output that the caller gave shares no memory with what is read, with `others` or with itself.
  void check_written(const py::array& written, const Arrays& others) const;
  double operations() const { return weights->operations(batch_ * steps_); }

  const std::shared_ptr<PackedWeights> weights;

 private:
  template <class T>
  void read(const RecurrentSettings& settings);

  py::array x_;
  Arrays state_, reset_state_;
  OptionalArray lengths_, resets_, hidden_mask_;  // lengths: a copy
  index_t batch_ = 0, steps_ = 0, rows_ = 0;
  OfEither<api::RecurrentCall> call_;
};

}  // namespace rnnfast::python
