// The cell on rows whose gradient of h has arrived, backward: zoneout, the norm of the state that h is an
// output of, the cell, and the norms of its sums.
#pragma once

#include <limits>

#include "kernels/layer_norm.hpp"
#include "kernels/recurrent_places.hpp"
#include "kernels/recurrent_unit_gradients.hpp"

namespace rnnfast::RNNFAST_ISA {

// Up to kRowBlock rows of one step, and where each of them reads and writes.
template <class Cell, class T>
struct BackwardBlock {
  index_t count;
  index_t n[kRowBlock], group[kRowBlock];
  bool cut[kRowBlock];       // the gradient of the state behind the step ends there
  bool any_cut;              // in one of the rows
  const T* sums[kRowBlock];  // gradients of the next step's sums
  // Of the step itself:
  T* tape[kRowBlock];
  const T* dy[kRowBlock];                       // null: zeros
  const T* h[kRowBlock];                        // after the step
  const T* operand[kRowBlock];                  // h', what entered W_hh
  const T* previous[Cell::kStates][kRowBlock];  // states before it
  T* dstate[Cell::kStates][kRowBlock];          // in: gradients of the states behind it; out: before it
  T* line[kRowBlock];                           // room for a gradient of h that waits for its row
  T* zoneout[Cell::kStates][kRowBlock];         // masks
};

// A small value: made anew where it is used, so that the compiler knows that no store changes it.
template <class Cell, class T>
class CellBackward {
  using V = Vec<T>;
  using Block = BackwardBlock<Cell, T>;
  using UnitSums = UnitGradients<Cell, T>;

 public:
  // `room` is for one row of a gradient.
  RNNFAST_INLINE CellBackward(const api::RecurrentBackward<T>& arguments, T* unit_sums, T* room)
      : hidden_(arguments.call.dims.hidden),
        projected_(arguments.call.dims.projection > 0),
        split_(arguments.call.dims.layer_norm == api::LayerNorm::kSplit),
        normed_(arguments.call.dims.layer_norm != api::LayerNorm::kNone),
        bounded_(arguments.bound < std::numeric_limits<T>::infinity()),
        bound_(arguments.bound),
        row_(arguments.call.dims),
        unit_(arguments.call.unit),
        unit_sums_(arguments.call.dims, unit_sums),
        run_(padded<T>(hidden_)),
        starts_(arguments.call.packed),
        room_(room) {
    for (int s = 0; s < Cell::kStates; ++s) zoned_[s] = arguments.call.zoneout.rate[s] > 0;
  }

  // The whole gradient of h after a step, but for dy, `left` units from `unit` on: bounded, and divided
  // between the state before (zoneout) and what the step made. It goes through the cell at once, or waits for
  // the projection or for its whole row.
  RNNFAST_INLINE void act(const Block& block, index_t r, index_t unit, index_t left, V dh) const {
    if (block.dy[r] != nullptr) dh = dh + load_up_to(block.dy[r] + unit, left);
    if (bounded_) dh = at_most(at_least(dh, V::broadcast(-bound_)), V::broadcast(bound_));
    const V kept = divide(block, 0, r, unit, dh);
    if (projected_) {
      kept.store(block.dstate[0][r] + unit);
      store_up_to(dh, block.tape[r] + row_.dprojected + unit, left);
    } else if (normed_) {
      kept.store(block.dstate[0][r] + unit);
      dh.store(block.line[r] + unit);
    } else {
      act_cell(block, r, unit, dh, kept);
    }
  }

  // Whether `act_two` may take the place of `act`: it knows what every layer has.
  RNNFAST_INLINE bool plain() const {
    bool zoned = false;
    for (int s = 0; s < Cell::kStates; ++s) zoned = zoned || zoned_[s];
    return Cell::kUnitWeights == 0 && Cell::kGatedSums == 0 && !zoned && !projected_ && !normed_;
  }

  // Two vectors of values that lie where `places` says.
  template <class Places>
  RNNFAST_INLINE void act_two(const Block& block, const Places& places, Pair<T> dh) const {
    using W = Pair<T>;
    if (places.given(block.dy)) dh = dh + places.load_up_to(block.dy);
    if (bounded_) dh = at_most(at_least(dh, W::broadcast(-bound_)), W::broadcast(bound_));
    W tape[Cell::kSums], previous[Cell::kStates], next[Cell::kStates], unit_weight[kUnitSlots<Cell>];
    W dnext[Cell::kStates], dsum[Cell::kSums], dprevious[Cell::kStates], dunit[kUnitSlots<Cell>];
    for (int s = 0; s < Cell::kSums; ++s)
      tape[s] = s < Cell::kTape ? places.load_up_to(block.tape, s * hidden_) : W::zero();
    previous[0] = Cell::kOutputState == 0 ? places.load_up_to(block.previous[0]) : W::zero();
    next[0] = Cell::kOutputState == 0 ? places.load_up_to(block.h) : W::zero();
    dnext[0] = dh;
    for (int s = 1; s < Cell::kStates; ++s) {
      previous[s] = places.load_up_to(block.previous[s]);
      next[s] = W::zero();
      dnext[s] = places.load(block.dstate[s]);
    }
    if constexpr (Cell::kOutputState > 0) {
      W dc;
      Cell::output_gradient(tape, Cell::output_state(tape, previous), dh, dc, dsum);
      dnext[Cell::kOutputState] = dnext[Cell::kOutputState] + dc;
    }
    Cell::state_gradient(tape, previous, next, unit_weight, dnext, dsum, dprevious, dunit);
    // The sum with what zoneout keeps, as in act_cell: +0 where that would be -0.
    for (int s = 0; s < Cell::kStates; ++s) places.store(dprevious[s] + W::zero(), block.dstate[s]);
    for (int s = 0; s < Cell::kSums; ++s) places.store_up_to(dsum[s], block.tape, s * hidden_);
  }

  // What `act` will read of a row's units in the panel from `unit` on: the tape lies too far apart, row by
  // row, for the hardware to foresee it.
  RNNFAST_INLINE void prefetch(const Block& block, index_t r, index_t unit) const {
    if (projected_) return;
    const index_t end = hidden_ - unit < kDenseWidth<T> ? hidden_ : unit + kDenseWidth<T>;
    const auto fetch = [&](index_t at) RNNFAST_INLINE_BODY {
      if (block.dy[r] != nullptr) __builtin_prefetch(block.dy[r] + at, 0, 2);
      if (normed_) return;  // nothing else before the row is whole: see fetch_normalised
      const T* const tape = block.tape[r] + at;
      for (int s = 0; s < Cell::kTape; ++s) __builtin_prefetch(tape + s * hidden_, 1, 2);
      fetch_states(block, r, at);
    };
    if (unit == 0) fetch(0);
    // The last value of a line's worth: a run that begins within a line reaches into one more.
    for (index_t line = unit + kRowPadding<T>; unit < end; unit = line, line += kRowPadding<T>)
      fetch(line < end ? line - 1 : end - 1);
    asm volatile("");  // GCC 12 drops calls of a function that does nothing but prefetch
  }

  // The gradient of what the projection was given.
  RNNFAST_INLINE void act_unprojected(const Block& block, index_t r, index_t unit, V dm) const {
    if (normed_) {
      dm.store(block.line[r] + unit);
    } else {
      act_cell(block, r, unit, dm, V::zero());
    }
  }

  // The cell's gradient and that of its norms on one sample, whose gradient of h waits in its line. The gates
  // are computed again.
  void act_normalised(const Block& block, index_t r) const {
    T *const line = block.line[r], *const tape = block.tape[r], *const dsums = room_;
    const index_t group = block.group[r];
    NormGradient<T> first, second;
    const auto behind_cell = [&](index_t unit, int place, index_t left,
                                 CellValues& values) RNNFAST_INLINE_BODY {
      through_state(block, r, unit, values);
      if (!projected_) {
        T* const direct = block.dstate[0][r] + unit;
        (values.dprevious[0] + V::load(direct)).store(direct);
      }
      for (int s = 0; s < Cell::kSums; ++s) {
        values.dsum[s] = first_lanes_of(values.dsum[s], left);
        values.dsum[s].store(dsums + s * run_ + unit);
        if (split_) unit_sums_.add(group, UnitSums::kBias + s, unit, values.dsum[s]);
      }
      for (int gate = 0; gate < Cell::kGates; ++gate) {
        const index_t at = gate * hidden_ + unit;
        const V dsum = values.dsum[Cell::kInputSum[gate]];
        const V norm = load_up_to(tape + row_.normalised + at, left);
        unit_sums_.add_product(group, UnitSums::kNorm + gate, unit, dsum, norm);
        first.add(place, load_up_to((split_ ? unit_.gamma_ih : unit_.gamma) + at, left) * dsum, norm);
        if (split_) {
          const V dsum_hidden = values.dsum[Cell::kHiddenSum[gate]];
          const V norm_hidden = load_up_to(tape + row_.second + at, left);
          unit_sums_.add_product(group, UnitSums::kNormSecond + gate, unit, dsum_hidden, norm_hidden);
          second.add(place, load_up_to(unit_.gamma_hh + at, left) * dsum_hidden, norm_hidden);
        } else {
          unit_sums_.add(group, UnitSums::kNormSecond + gate, unit, dsum);
        }
      }
    };
    const auto from_gates = [&](index_t unit, int place, index_t left) RNNFAST_INLINE_BODY {
      CellValues values;
      load_states(block, r, unit, values);
      if (r + 1 < block.count) fetch_normalised(block, r + 1, unit);
      gates_again(block, r, unit, left, values);
      through_output(load_up_to(line + unit, left), values);
      behind_cell(unit, place, left, values);
    };
    if constexpr (Cell::kOutputState > 0) {
      if (split_) {
        through_output_norm(block, r);  // leaves the gates in dsums, and in the line the gradient of c
        for_each_vector<T>(hidden_, [&](index_t unit, int place, index_t left) RNNFAST_INLINE_BODY {
          CellValues values;
          load_states(block, r, unit, values);
          for (int s = 0; s < Cell::kTape; ++s) values.tape[s] = V::load(dsums + s * run_ + unit);
          values.dsum[Cell::kOutputSum] = V::load(room_ + Cell::kSums * run_ + unit);
          values.dnext[Cell::kOutputState] = values.dnext[Cell::kOutputState] + V::load(line + unit);
          behind_cell(unit, place, left, values);
        });
      } else {
        for_each_vector<T>(hidden_, from_gates);
      }
    } else {
      for_each_vector<T>(hidden_, from_gates);
    }
    first.finish(Cell::kGates * hidden_, tape[row_.moments]);
    through_norm(tape + row_.normalised, Cell::kInputSum, split_ ? unit_.gamma_ih : unit_.gamma, first);
    if (!split_) return;
    second.finish(Cell::kGates * hidden_, tape[row_.moments + 1]);
    through_norm(tape + row_.second, Cell::kHiddenSum, unit_.gamma_hh, second);
  }

  static index_t room(const api::RecurrentDims& dims) {
    return (Cell::kSums + 1) * padded<T>(dims.hidden) + kRowPadding<T>;
  }

 private:
  // Zoneout's gradient: what of it the old state keeps; the rest is the candidate's.
  RNNFAST_INLINE V divide(const Block& block, int s, index_t r, index_t unit, V& gradient) const {
    if (!zoned_[s]) return V::zero();
    const V m = V::load(block.zoneout[s][r] + unit);
    const V kept = where_positive(m, gradient);
    gradient = where_less(V::zero(), m, V::zero(), gradient);
    return kept;
  }

  struct CellValues {
    V tape[Cell::kSums], previous[Cell::kStates], next[Cell::kStates], unit[kUnitSlots<Cell>];
    V dnext[Cell::kStates], kept[Cell::kStates];
    V dsum[Cell::kSums], dprevious[Cell::kStates], dunit[kUnitSlots<Cell>];
  };
  RNNFAST_INLINE void load_states(const Block& block, index_t r, index_t unit, CellValues& values) const {
    const index_t left = hidden_ - unit;
    values.previous[0] = values.next[0] = V::zero();
    if (Cell::kOutputState == 0) {  // else h has another size, perhaps, and does not matter
      values.previous[0] = load_up_to(block.previous[0][r] + unit, left);
      values.next[0] = load_up_to(block.h[r] + unit, left);
      if (zoned_[0])  // a kept h is not the candidate, whose gradient is zero: its derivative must be finite
        values.next[0] =
            where_less(V::zero(), V::load(block.zoneout[0][r] + unit), V::zero(), values.next[0]);
    }
    for (int s = 1; s < Cell::kStates; ++s) {
      values.previous[s] = load_up_to(block.previous[s][r] + unit, left);
      values.next[s] = V::zero();
      values.dnext[s] = V::load(block.dstate[s][r] + unit);
      values.kept[s] = divide(block, s, r, unit, values.dnext[s]);
    }
    for (int k = 0; k < Cell::kUnitWeights; ++k)
      values.unit[k] = load_up_to(unit_.weight_ch + k * hidden_ + unit, left);
  }

  // What `act_normalised` will read of a vector's units, while it is at the row before.
  RNNFAST_INLINE void fetch_normalised(const Block& block, index_t r, index_t unit) const {
    const T* const tape = block.tape[r] + unit;
    for (int gate = 0; gate < Cell::kGates; ++gate) {
      __builtin_prefetch(tape + row_.normalised + gate * hidden_, 1, 2);
      if (split_) __builtin_prefetch(tape + row_.second + gate * hidden_, 1, 2);
    }
    fetch_states(block, r, unit);
  }

  // Of what `load_states` loads what the cell's gradient reads.
  static RNNFAST_INLINE void fetch_states(const Block& block, index_t r, index_t unit) {
    for (int s = 1; s < Cell::kStates; ++s) __builtin_prefetch(block.previous[s][r] + unit, 0, 2);
    if constexpr (Cell::kOutputState == 0)
      __builtin_prefetch((Cell::kReadsPrevious ? block.previous[0][r] : block.h[r]) + unit, 0, 2);
  }

  // The gates from what was normalised, as forward made them.
  RNNFAST_INLINE void gates_again(const Block& block, index_t r, index_t unit, index_t left,
                                  CellValues& values) const {
    constexpr index_t kWidth = ForwardWeights<Cell, T>::kWidth;
    const T* const tape = block.tape[r];
    V sum[Cell::kSums], next[Cell::kStates];
    for (int s = 0; s < Cell::kSums; ++s)
      sum[s] = split_ ? V::load(starts_ + (unit / kWidth * Cell::kSums + s) * kWidth + unit % kWidth)
                      : load_up_to(unit_.beta + s * hidden_ + unit, left);
    for (int gate = 0; gate < Cell::kGates; ++gate) {
      const index_t at = gate * hidden_ + unit;
      V& sum_in = sum[Cell::kInputSum[gate]];
      sum_in = fma(load_up_to((split_ ? unit_.gamma_ih : unit_.gamma) + at, left),
                   load_up_to(tape + row_.normalised + at, left), sum_in);
      if (!split_) continue;
      V& sum_hidden = sum[Cell::kHiddenSum[gate]];
      sum_hidden =
          fma(load_up_to(unit_.gamma_hh + at, left), load_up_to(tape + row_.second + at, left), sum_hidden);
    }
    Cell::state(sum, values.previous, values.unit, next, values.tape);
  }

  // Gradient of h -> of the state that it is an output of, where it is one.
  RNNFAST_INLINE void through_output(V dh, CellValues& values) const {
    values.dnext[0] = dh;
    if constexpr (Cell::kOutputState > 0) {
      V dc;
      Cell::output_gradient(values.tape, Cell::output_state(values.tape, values.previous), dh, dc,
                            values.dsum);
      values.dnext[Cell::kOutputState] = values.dnext[Cell::kOutputState] + dc;
    }
  }

  // Gradient of h -> of the state before its norm, in the line's place. The row's gates and the gradient of
  // the sum that only the output reads are left in the room.
  void through_output_norm(const Block& block, index_t r) const {
    T *const line = block.line[r], *const gates = room_, *const dsum = room_ + Cell::kSums * run_;
    const T* const kept = block.tape[r] + row_.moments;
    const V mean = V::broadcast(kept[2]), rstd = V::broadcast(kept[3]);
    const auto norm_of = [&](const CellValues& values) RNNFAST_INLINE_BODY {
      return (Cell::output_state(values.tape, values.previous) - mean) * rstd;
    };
    NormGradient<T> norm_gradient;
    for_each_vector<T>(hidden_, [&](index_t unit, int place, index_t left) RNNFAST_INLINE_BODY {
      CellValues values;
      load_states(block, r, unit, values);
      if (r + 1 < block.count) fetch_normalised(block, r + 1, unit);
      gates_again(block, r, unit, left, values);
      for (int s = 0; s < Cell::kTape; ++s) values.tape[s].store(gates + s * run_ + unit);
      const V norm = first_lanes_of(norm_of(values), left), gamma = load_up_to(unit_.gamma_c + unit, left);
      V dc;
      Cell::output_gradient(values.tape, fma(gamma, norm, load_up_to(unit_.beta_c + unit, left)),
                            load_up_to(line + unit, left), dc, values.dsum);
      unit_sums_.add_product(block.group[r], UnitSums::kOutput, unit, dc, norm);
      unit_sums_.add(block.group[r], UnitSums::kOutputShift, unit, dc);
      norm_gradient.add(place, gamma * dc, norm);
      (gamma * dc).store(line + unit);
      values.dsum[Cell::kOutputSum].store(dsum + unit);
    });
    norm_gradient.finish(hidden_, kept[3]);
    for (index_t unit = 0; unit < hidden_; unit += V::kLanes) {
      CellValues values;
      for (int s = 0; s < Cell::kTape; ++s) values.tape[s] = V::load(gates + s * run_ + unit);
      for (int s = 1; s < Cell::kStates; ++s)
        values.previous[s] = load_up_to(block.previous[s][r] + unit, hidden_ - unit);
      norm_gradient(V::load(line + unit), norm_of(values)).store(line + unit);
    }
  }

  // Gradients of the states behind the cell -> of its sums, unit weights and the states before.
  RNNFAST_INLINE void through_state(const Block& block, index_t r, index_t unit, CellValues& values) const {
    Cell::state_gradient(values.tape, values.previous, values.next, values.unit, values.dnext, values.dsum,
                         values.dprevious, values.dunit);
    for (int s = 1; s < Cell::kStates; ++s)
      (values.dprevious[s] + values.kept[s]).store(block.dstate[s][r] + unit);
    for (int k = 0; k < Cell::kUnitWeights; ++k) unit_sums_.add(block.group[r], k, unit, values.dunit[k]);
  }

  // The cell's gradient on one sample and one vector of units; `kept` of the gradient of h stays with the
  // state before.
  RNNFAST_INLINE void act_cell(const Block& block, index_t r, index_t unit, V dh, V kept) const {
    const index_t left = hidden_ - unit;
    T* const tape = block.tape[r] + unit;
    CellValues values;
    load_states(block, r, unit, values);
    for (int s = 0; s < Cell::kSums; ++s)
      values.tape[s] = s < Cell::kTape ? load_up_to(tape + s * hidden_, left) : V::zero();
    through_output(dh, values);
    through_state(block, r, unit, values);
    for (int s = 0; s < Cell::kSums; ++s) store_up_to(values.dsum[s], tape + s * hidden_, left);
    if (!projected_) (values.dprevious[0] + kept).store(block.dstate[0][r] + unit);
  }

  // Gradients of the sums behind a norm -> of what was normalised, in its place.
  void through_norm(T* normalised, const int (&sum)[Cell::kGates], const T* gamma,
                    const NormGradient<T>& norm) const {
    for (int gate = 0; gate < Cell::kGates; ++gate) {
      for (index_t unit = 0; unit < hidden_; unit += V::kLanes) {
        const index_t left = hidden_ - unit, at = gate * hidden_ + unit;
        const V gradient = load_up_to(gamma + at, left) * V::load(room_ + sum[gate] * run_ + unit);
        store_up_to(norm(gradient, load_up_to(normalised + at, left)), normalised + at, left);
      }
    }
  }

  index_t hidden_;
  bool projected_, split_, normed_, bounded_, zoned_[Cell::kStates];
  T bound_;
  TapeRow<Cell, T> row_;
  api::UnitWeights<const T> unit_;
  UnitSums unit_sums_;
  const index_t run_;
  const T* starts_;
  T* room_;
};

}  // namespace rnnfast::RNNFAST_ISA
