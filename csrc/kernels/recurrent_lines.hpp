// Lines of sums: all sums of all units of one sample at one step, side by side, for cells and options that
// need them whole before the cell may act. Layer norm is done here, on lines that lie in L1 and L2:
//   split: sums = biases + gamma_ih norm(W_ih x) + gamma_hh norm(W_hh h')
//   joint: sums = beta + gamma norm(biases + W_ih x + W_hh h')
// A line has kSums runs of padded(H) values; where the hidden products are normalised apart they have lines
// of their own, of kGates runs. What follows the H values of a run is undefined.
#pragma once

#include "kernels/layer_norm.hpp"
#include "kernels/recurrent_layout.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
class SumLines {
  using V = Vec<T>;
  using Panel = ForwardPanel<Cell>;
  using Weights = ForwardWeights<Cell, T>;

 public:
  struct Buffers {
    T *lines, *hidden;  // kRowBlock lines for every thread; hidden: null unless normalised apart
  };

  static RNNFAST_INLINE index_t stride(const api::RecurrentDims& dims, int runs) {
    return runs * padded<T>(dims.hidden) + kRowPadding<T>;
  }
  static RNNFAST_INLINE Buffers lay_out(const api::RecurrentDims& dims, int threads, Arena<T>& arena) {
    Buffers buffers{};
    buffers.lines = arena.take(threads * kRowBlock * stride(dims, Cell::kSums));
    if (dims.layer_norm == api::LayerNorm::kSplit)
      buffers.hidden = arena.take(threads * kRowBlock * stride(dims, Cell::kGates));
    return buffers;
  }

  SumLines(const api::RecurrentCall<T>& call, const Buffers& buffers, int part)
      : call_(call),
        hidden_(call.dims.hidden),
        run_(padded<T>(call.dims.hidden)),
        stride_(stride(call.dims, Cell::kSums)),
        hidden_stride_(stride(call.dims, Cell::kGates)),
        weights_{call.dims.inputs, call.dims.hidden, call.dims.projection},
        tape_row_(call.dims),
        lines_(buffers.lines + part * kRowBlock * stride_),
        hidden_lines_(buffers.hidden == nullptr ? nullptr
                                                : buffers.hidden + part * kRowBlock * hidden_stride_),
        split_(call.dims.layer_norm == api::LayerNorm::kSplit),
        joint_(call.dims.layer_norm == api::LayerNorm::kJoint) {
    const int vectors = static_cast<int>(run_ / V::kLanes);
    for (int c = 0; c < kSlots; ++c) {
      const int gate = c / Panel::kUnitVectors, vector = c % Panel::kUnitVectors;
      input_slots_[c] = Cell::kInputSum[gate] * vectors + vector;
      hidden_slots_[c] = (split_ ? gate : Cell::kHiddenSum[gate]) * vectors + vector;
    }
  }

  static RNNFAST_INLINE bool wanted(const api::RecurrentDims& dims) {
    return Cell::kGatedSums > 0 || dims.layer_norm != api::LayerNorm::kNone;
  }
  index_t run() const { return run_; }
  T* line(index_t r) const { return lines_ + r * stride_; }

  // Lines first … first + count - 1 after the input product; tape: where each row keeps what it normalised,
  // or null. Of the panels in `own`; all of them where there is a norm.
  void add_inputs(index_t first, index_t count, const T* const* x, T* const* tape,
                  parallel::Range own) const {
    constexpr index_t kWidth = Weights::kWidth;
    T* const lines = line(first);
    for (index_t panel = own.begin; panel < own.end; ++panel) {
      const SumRows<T> sums{lines + panel * kWidth, stride_};
      for (index_t r = 0; r < count; ++r) {
        for (int s = 0; s < Cell::kSums; ++s) {
          for (index_t lane = 0; lane < kWidth; lane += V::kLanes) {
            (split_ ? V::zero() : V::load(start(panel, s) + lane))
                .store(sums.data + r * stride_ + s * run_ + lane);
          }
        }
      }
      add_panel<Cell>(count, x, weights_.input_panel(call_.packed, panel), call_.dims.inputs, sums,
                      input_slots_);
    }
    if (!split_) return;
    for (index_t r = 0; r < count; ++r) {
      T* const sums = line(first + r);
      const Moments<T> found = moments(sums, Cell::kGates, hidden_, run_);
      const RowTapes tapes(tape, r, count);
      for (int s = 0; s < Cell::kSums; ++s) {
        for (index_t unit = 0; unit < hidden_; unit += V::kLanes) {
          V sum = V::load(start(unit / kWidth, s) + unit % kWidth);
          if (s < Cell::kGates)
            sum = normalised(sums, s, unit, found, tapes, tape_row_.normalised, call_.unit.gamma_ih, sum);
          sum.store(sums + s * run_ + unit);
        }
      }
      if (tape[r] != nullptr) tape[r][tape_row_.moments] = found.rstd;
    }
  }

  // Adds the hidden product, or of a gated cell its part before the gate (gated = false) or behind it, and
  // normalises: the lines are complete.
  void add_hidden(index_t first, index_t count, const T* const* operand, T* const* tape, bool gated) const {
    constexpr index_t kWidth = Weights::kWidth;
    const int begin = gated ? Cell::kGatedSums : 0;
    const int end = Cell::kGatedSums > 0 && !gated ? Cell::kGatedSums : Panel::kGroups;
    for (index_t panel = 0; panel < weights_.panels(); ++panel) {
      SumRows<T> sums{line(first) + panel * kWidth, stride_};
      if (split_) {
        sums = {hidden_lines_ + panel * kWidth, hidden_stride_};
        for (index_t r = 0; r < count; ++r) {
          for (int gate = 0; gate < Cell::kGates; ++gate) {
            for (index_t lane = 0; lane < kWidth; lane += V::kLanes)
              V::zero().store(sums.data + r * hidden_stride_ + gate * run_ + lane);
          }
        }
      }
      add_panel<Cell>(count, operand, weights_.hidden_panel(call_.packed, panel), call_.dims.outputs(), sums,
                      hidden_slots_, begin, end);
    }
    if (!split_ && !joint_) return;
    for (index_t r = 0; r < count; ++r) {
      T* const own = line(first + r);
      if (split_) {
        normalise_hidden(own, hidden_lines_ + r * hidden_stride_, RowTapes(tape, r, count));
      } else {
        normalise_joint(own, RowTapes(tape, r, count));
      }
    }
  }

 private:
  static constexpr int kSlots = Panel::kGroups * Panel::kColumns;

  const T* start(index_t panel, int sum) const {
    return weights_.start_of(call_.packed, panel) + sum * Weights::kWidth;
  }

  // The tapes of row r of `count` and of the next one, null where there is none.
  struct RowTapes {
    T *own, *next;

    RNNFAST_INLINE RowTapes(T* const* tape, index_t r, index_t count)
        : own(tape[r]), next(r + 1 < count ? tape[r + 1] : nullptr) {}
  };

  // gamma norm(line) + shift for one vector of gate `gate`; the norm goes to the tape, and the next row's is
  // fetched meanwhile.
  RNNFAST_INLINE V normalised(const T* line, int gate, index_t unit, Moments<T> found, const RowTapes& tapes,
                              index_t offset, const T* gamma, V shift) const {
    const index_t left = hidden_ - unit, place = gate * hidden_ + unit;
    const V norm = (V::load(line + gate * run_ + unit) - V::broadcast(found.mean)) * V::broadcast(found.rstd);
    if (tapes.next != nullptr) __builtin_prefetch(tapes.next + offset + place, 1, 2);
    if (tapes.own != nullptr) store_up_to(norm, tapes.own + offset + place, left);
    return fma(load_up_to(gamma + place, left), norm, shift);
  }

  void normalise_hidden(T* line, const T* hidden_line, const RowTapes& tapes) const {
    const Moments<T> found = moments(hidden_line, Cell::kGates, hidden_, run_);
    for (int gate = 0; gate < Cell::kGates; ++gate) {
      T* const sums = line + Cell::kHiddenSum[gate] * run_;
      for (index_t unit = 0; unit < hidden_; unit += V::kLanes) {
        normalised(hidden_line, gate, unit, found, tapes, tape_row_.second, call_.unit.gamma_hh,
                   V::load(sums + unit))
            .store(sums + unit);
      }
    }
    if (tapes.own != nullptr) tapes.own[tape_row_.moments + 1] = found.rstd;
  }

  void normalise_joint(T* line, const RowTapes& tapes) const {
    const Moments<T> found = moments(line, Cell::kGates, hidden_, run_);
    for (int gate = 0; gate < Cell::kGates; ++gate) {
      for (index_t unit = 0; unit < hidden_; unit += V::kLanes) {
        const V shift = load_up_to(call_.unit.beta + gate * hidden_ + unit, hidden_ - unit);
        normalised(line, gate, unit, found, tapes, tape_row_.normalised, call_.unit.gamma, shift)
            .store(line + gate * run_ + unit);
      }
    }
    if (tapes.own != nullptr) tapes.own[tape_row_.moments] = found.rstd;
  }

  const api::RecurrentCall<T>& call_;
  const index_t hidden_, run_, stride_, hidden_stride_;
  const Weights weights_;
  const TapeRow<Cell, T> tape_row_;
  T *const lines_, *const hidden_lines_;
  const bool split_, joint_;
  int input_slots_[kSlots], hidden_slots_[kSlots];
};

}  // namespace rnnfast::RNNFAST_ISA
