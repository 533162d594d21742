// What Python keeps of a call of one direction of one recurrent layer: its settings, and what forward and
// backward agree on. Everything is checked where it is made, and not again.
#pragma once

#include "python/packed_weights.hpp"

namespace rnnfast::python {

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
  Matrix tape_shape() const;
  // (segments, states - 1, N, H) where the tape is recomputed.
  std::optional<std::array<index_t, 4>> checkpoints_shape() const;
  template <class T>
  api::RecurrentCall<T>& call() {
    return std::get<api::RecurrentCall<T>>(call_);
  }
  // An output that the caller gave shares no memory with what is read, with `others` or with itself.
  void check_written(const py::array& written, const Arrays& others) const;
  const py::array& x() const { return x_; }
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
