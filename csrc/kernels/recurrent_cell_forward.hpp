// The cell on rows whose sums are complete, forward: candidate states, their norm, zoneout, and every store.
#pragma once

#include "kernels/layer_norm.hpp"
#include "kernels/recurrent_layout.hpp"
#include "kernels/recurrent_places.hpp"

namespace rnnfast::RNNFAST_ISA {

// Up to kRowBlock rows of one step, and where each of them reads and writes.
template <class Cell, class T>
struct ForwardBlock {
  index_t count;
  const T* x[kRowBlock];
  const T* operand[kRowBlock];                 // h', what enters W_hh
  T* previous[Cell::kStates][kRowBlock];       // rows of the states before; all but h are updated in place
  T* next_h[kRowBlock];                        // row of h after the step
  T* y[kRowBlock];                             // null: h is not wanted (a recomputed segment)
  T* tape[kRowBlock];                          // null: nothing is kept
  T* states[Cell::kStates][kRowBlock];         // where other states of every step go; null: not wanted
  T* unprojected[kRowBlock];                   // what the projection is given
  const T* zoneout[Cell::kStates][kRowBlock];  // masks
};

// A small value: made anew where it is used, so that the compiler knows that no store changes it.
template <class Cell, class T>
class CellForward {
  using V = Vec<T>;
  using Block = ForwardBlock<Cell, T>;

 public:
  explicit RNNFAST_INLINE CellForward(const api::RecurrentCall<T>& call)
      : hidden_(call.dims.hidden),
        projected_(call.dims.projection > 0),
        normed_(call.dims.layer_norm != api::LayerNorm::kNone),
        output_norm_(Cell::kOutputState > 0 && call.dims.layer_norm == api::LayerNorm::kSplit),
        row_(call.dims),
        weight_ch_(call.unit.weight_ch),
        gamma_c_(call.unit.gamma_c),
        beta_c_(call.unit.beta_c),
        drawn_(call.zoneout.training) {
    for (int s = 0; s < Cell::kStates; ++s) {
      rate_[s] = static_cast<T>(call.zoneout.rate[s]);
      zoned_[s] = call.zoneout.rate[s] > 0;
    }
  }

  // One vector of units; sum s lies at sums + s * run.
  RNNFAST_INLINE void act(const Block& block, index_t r, index_t unit, const T* sums, index_t run) const {
    Inputs inputs;
    load(block, r, unit, inputs);
    V sum[Cell::kSums], next[Cell::kStates], tape[Cell::kSums];
    for (int s = 0; s < Cell::kSums; ++s) sum[s] = V::load(sums + s * run);
    Cell::state(sum, inputs.previous, inputs.unit, next, tape);
    if constexpr (Cell::kOutputState > 0) next[0] = Cell::output(tape, next[Cell::kOutputState]);
    finish(block, r, unit, inputs, next, tape);
  }

  // Whether `act_plain` may take the place of `act`: it knows what every layer has.
  RNNFAST_INLINE bool plain() const {
    bool zoned = false;
    for (int s = 0; s < Cell::kStates; ++s) zoned = zoned || zoned_[s];
    return Cell::kUnitWeights == 0 && !zoned && !projected_ && !normed_;
  }

  // The values that lie where `places` says; sum_of(s) is their sum s.
  template <class Places, class Sums>
  RNNFAST_INLINE void act_plain(const Block& block, const Places& places, Sums&& sum_of) const {
    using W = typename Places::Value;
    W sum[Cell::kSums], next[Cell::kStates], tape[Cell::kSums], previous[Cell::kStates],
        unit_weight[kUnitSlots<Cell>];
    RNNFAST_UNROLL
    for (int s = 0; s < Cell::kSums; ++s) sum[s] = sum_of(s);
    previous[0] = Cell::kOutputState > 0 ? W::zero() : places.load(block.previous[0]);
    for (int s = 1; s < Cell::kStates; ++s) previous[s] = places.load(block.previous[s]);
    Cell::state(sum, previous, unit_weight, next, tape);
    if constexpr (Cell::kOutputState > 0) next[0] = Cell::output(tape, next[Cell::kOutputState]);
    if (places.given(block.tape)) {
      for (int s = 0; s < Cell::kTape; ++s) places.keep(tape[s], block.tape, s * hidden_);
      for (int s = 1; s < Cell::kStates; ++s)
        places.keep(next[s], block.tape, row_.states + (s - 1) * hidden_);
    }
    for (int s = 1; s < Cell::kStates; ++s) {
      places.store(next[s], block.previous[s]);
      if (places.given(block.states[s])) places.store_up_to(next[s], block.states[s]);
    }
    places.store(next[0], block.next_h);
    if (places.given(block.y)) places.store_up_to(next[0], block.y);
  }

  // The same in two vectors. sums: of the first of them, `apart` further those of the next one; sum s lies
  // s * run behind the first sum.
  template <class Places>
  RNNFAST_INLINE void act_two(const Block& block, const Places& places, const T* sums, index_t apart,
                              index_t run) const {
    act_plain(block, places, [=](int s) { return Places::load_sums(sums + s * run, apart); });
  }

  // A whole line of sums. Where h is an output of a norm, that needs a pass of its own: `candidate` is room
  // for one row, and the line's sums give way to the tape's values.
  RNNFAST_INLINE void act_line(const Block& block, index_t r, T* line, index_t run, T* candidate) const {
    if constexpr (Cell::kOutputState > 0) {
      if (output_norm_) return act_normalised(block, r, line, run, candidate);
    }
    for (index_t unit = 0; unit < hidden_; unit += V::kLanes) act(block, r, unit, line + unit, run);
  }

  // h itself, from the cell or the projection; `left` units from `unit` on.
  RNNFAST_INLINE void finish_h(const Block& block, index_t r, index_t unit, index_t left, V h) const {
    if (zoned_[0]) h = zoneout(block, 0, r, unit, V::load(block.previous[0][r] + unit), h);
    h.store(block.next_h[r] + unit);
    if (block.y[r] != nullptr) store_up_to(h, block.y[r] + unit, left);
  }

 private:
  // What the cell reads besides its sums. h itself enters only where it is no output of another state.
  struct Inputs {
    V previous[Cell::kStates], unit[kUnitSlots<Cell>];
  };
  RNNFAST_INLINE void load(const Block& block, index_t r, index_t unit, Inputs& inputs) const {
    inputs.previous[0] = Cell::kOutputState > 0 ? V::zero() : V::load(block.previous[0][r] + unit);
    for (int s = 1; s < Cell::kStates; ++s) inputs.previous[s] = V::load(block.previous[s][r] + unit);
    for (int k = 0; k < Cell::kUnitWeights; ++k)
      inputs.unit[k] = load_up_to(weight_ch_ + k * hidden_ + unit, hidden_ - unit);
  }

  void act_normalised(const Block& block, index_t r, T* line, index_t run, T* candidate) const {
    Inputs inputs;
    V sum[Cell::kSums], next[Cell::kStates], tape[Cell::kSums];
    for (index_t unit = 0; unit < hidden_; unit += V::kLanes) {
      load(block, r, unit, inputs);
      for (int s = 0; s < Cell::kSums; ++s) sum[s] = V::load(line + s * run + unit);
      Cell::state(sum, inputs.previous, inputs.unit, next, tape);
      next[Cell::kOutputState].store(candidate + unit);
      for (int s = 0; s < Cell::kTape; ++s) tape[s].store(line + s * run + unit);
    }
    const Moments<T> found = moments(candidate, 1, hidden_, 0);
    T* const kept = block.tape[r];
    if (kept != nullptr) {
      kept[row_.moments + 2] = found.mean;
      kept[row_.moments + 3] = found.rstd;
    }
    for (index_t unit = 0; unit < hidden_; unit += V::kLanes) {
      const index_t left = hidden_ - unit;
      load(block, r, unit, inputs);
      for (int s = 0; s < Cell::kTape; ++s) tape[s] = V::load(line + s * run + unit);
      next[Cell::kOutputState] = V::load(candidate + unit);
      const V norm = (next[Cell::kOutputState] - V::broadcast(found.mean)) * V::broadcast(found.rstd);
      next[0] =
          Cell::output(tape, fma(load_up_to(gamma_c_ + unit, left), norm, load_up_to(beta_c_ + unit, left)));
      finish(block, r, unit, inputs, next, tape);
    }
  }

  // m previous + (1 - m) candidate; a drawn m chooses, so that what it leaves out may be infinite
  RNNFAST_INLINE V zoneout(const Block& block, int s, index_t r, index_t unit, V previous,
                           V candidate) const {
    if (drawn_) return where_less(V::zero(), V::load(block.zoneout[s][r] + unit), previous, candidate);
    const V m = V::broadcast(rate_[s]);
    return fma(m, previous, (V::broadcast(1) - m) * candidate);
  }

  // Tape and states of one vector; h goes on to the projection where there is one.
  RNNFAST_INLINE void finish(const Block& block, index_t r, index_t unit, const Inputs& inputs,
                             V (&next)[Cell::kStates], const V (&tape)[Cell::kSums]) const {
    const index_t left = hidden_ - unit;
    T* const kept = block.tape[r];
    if (kept != nullptr && !normed_) {
      for (int s = 0; s < Cell::kTape; ++s) store_up_to(tape[s], kept + s * hidden_ + unit, left);
    }
    for (int s = 1; s < Cell::kStates; ++s) {
      if (zoned_[s]) next[s] = zoneout(block, s, r, unit, inputs.previous[s], next[s]);
      next[s].store(block.previous[s][r] + unit);
      if (kept != nullptr) store_up_to(next[s], kept + row_.states + (s - 1) * hidden_ + unit, left);
      if (block.states[s][r] != nullptr) store_up_to(next[s], block.states[s][r] + unit, left);
    }
    if (projected_) {
      store_up_to(next[0], block.unprojected[r] + unit, left);
    } else {
      finish_h(block, r, unit, left, next[0]);
    }
  }

  index_t hidden_;
  bool projected_, normed_, output_norm_;
  TapeRow<Cell, T> row_;
  const T *weight_ch_, *gamma_c_, *beta_c_;
  bool drawn_, zoned_[Cell::kStates];
  T rate_[Cell::kStates];
};

}  // namespace rnnfast::RNNFAST_ISA
