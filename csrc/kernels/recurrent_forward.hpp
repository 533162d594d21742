// The scan driver, forward: every cell, both directions of time, every option, float and double.
//
//   for each step: sums = start + W_ih x_t + W_hh h';  (candidates, tape) = cell(sums, states);
//                  states = zoneout(states, candidates)
//
// A panel owns all sums of its hidden units: they are formed for up to kRowBlock samples, in registers and
// L1, and the cell acts on them there; only h, the other states and the tape are stored. Cells and options
// that need whole rows of sums first find them in lines (recurrent_lines.hpp). Threads own disjoint samples
// for the whole sequence and never wait for each other; where samples are few they own disjoint units and
// meet after every step. The steps of a batch of one follow each other without a way back here
// (recurrent_panels.hpp). The input product is made with the step or beforehand for many steps; the sums are
// the same chains.
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/random.hpp"
#include "kernels/recurrent_cell_forward.hpp"
#include "kernels/recurrent_panels.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
class RecurrentForwardPass {
  using V = Vec<T>;
  using Panel = ForwardPanel<Cell>;
  using Weights = ForwardWeights<Cell, T>;
  using Product = PanelProduct<T, Panel::kColumns>;
  using Lines = SumLines<Cell, T>;
  using Block = ForwardBlock<Cell, T>;
  // Threads that share units own whole cache lines of them, and what a single row takes together.
  static constexpr index_t kPanelsOfLine = ceil_div(kRowPadding<T>, Weights::kWidth);
  static constexpr index_t kPanelsTogether = round_up(Panel::together(1), kPanelsOfLine);
  // Up to so many inputs their product is made with the step, of one or two rows and of up to two tiles.
  static constexpr index_t kInputsOfTwoRows = 24, kInputsOfFewRows = 96;

 public:
  using Arguments = api::RecurrentForward<T>;

  struct Buffers {
    T* hidden[2];                // rows of h: of the step before, and of this step
    T* state[api::kMostStates];  // rows of the other states, updated in place
    typename Lines::Buffers lines;
    T *operand, *gated;        // of one block of rows: operands of the hidden products
    T *zoneout, *unprojected;  // of one block of rows: masks of every state; what is projected
    T* candidate;              // one row: a state before its norm
    T* zeros;                  // one row
  };

  static Buffers lay_out(const api::RecurrentDims& dims, int threads, Arena<T>& arena) {
    Buffers buffers{};
    const index_t block = threads * kRowBlock, units = state_stride<T>(dims.widest_state());
    for (T*& rows : buffers.hidden) rows = arena.take(dims.batch * state_stride<T>(dims.outputs()));
    for (int s = 1; s < Cell::kStates; ++s) buffers.state[s] = arena.take(dims.batch * units);
    buffers.lines = Lines::lay_out(dims, threads, arena);
    buffers.operand = arena.take(dims.masked ? block * units : 0);
    buffers.gated = arena.take(Cell::kGatedSums > 0 ? block * units : 0);
    buffers.zoneout = arena.take(block * Cell::kStates * units);
    buffers.unprojected = arena.take(dims.projection > 0 ? block * units : 0);
    buffers.candidate = arena.take(threads * units);
    buffers.zeros = arena.take(units);
    return buffers;
  }

  static index_t workspace(const api::RecurrentDims& dims, int threads) {
    Arena<T> arena;
    Schedule<T>::lay_out(dims, arena);
    lay_out(dims, threads, arena);
    return arena.used();
  }

  static void run(const Arguments& arguments) {
    const api::RecurrentCall<T>& call = arguments.call;
    Arena<T> arena(arguments.workspace);
    const Schedule<T> schedule(call, Schedule<T>::lay_out(call.dims, arena));
    run(arguments, schedule, lay_out(call.dims, call.threads, arena), {0, call.dims.steps}, nullptr);
  }

  // Steps begin … end - 1. With `before`, h of every step, they are run once more for their tape alone; the
  // other states before them are those of arguments.checkpoints.
  static void run(const Arguments& arguments, const Schedule<T>& schedule, const Buffers& buffers,
                  parallel::Range steps, const api::Sequence<const T>* before) {
    const api::RecurrentDims& dims = arguments.call.dims;
    const double operations = 2.0 * static_cast<double>(schedule.rows(steps.begin, steps.end)) *
                              static_cast<double>(Cell::kGates * dims.hidden) *
                              static_cast<double>(dims.inputs + dims.outputs());
    for (index_t unit = 0; unit < state_stride<T>(dims.widest_state()); ++unit) buffers.zeros[unit] = T(0);
    const index_t unit_shares = Lines::wanted(dims) || with_options(arguments)
                                    ? 0
                                    : ceil_div(Weights{0, dims.hidden, 0}.panels(), kPanelsTogether);
    for_each_share(schedule, arguments.call.threads, operations, steps.end - steps.begin, unit_shares,
                   [&](const ScanShare& share) {
                     const FlushDenormals flush;
                     RecurrentForwardPass(arguments, schedule, buffers, steps, before, share).scan();
                   });
  }

 private:
  RecurrentForwardPass(const Arguments& arguments, const Schedule<T>& schedule, const Buffers& buffers,
                       parallel::Range steps, const api::Sequence<const T>* before, const ScanShare& share)
      : arguments_(arguments),
        call_(arguments.call),
        dims_(call_.dims),
        schedule_(schedule),
        steps_(steps),
        before_(before),
        share_(share),
        own_(share.positions),
        weights_{dims_.inputs, dims_.hidden, dims_.projection},
        tape_row_(dims_),
        cell_(call_),
        lines_(call_, buffers.lines, share.part),
        panels_(share.units(weights_.panels(), kPanelsTogether)),
        panel_step_(call_, weights_, lines_, cell_, panels_),
        units_(state_stride<T>(dims_.widest_state())),
        block_of_part_(share.part * kRowBlock),
        with_options_(with_options(arguments)),
        buffers_(buffers) {}

  // Whether something happens to whole rows before a step.
  static bool with_options(const Arguments& arguments) {
    const api::RecurrentCall<T>& call = arguments.call;
    return arguments.checkpoints != nullptr || call.resets.data != nullptr || call.hidden_mask != nullptr ||
           call.zoneout.training || call.dims.projection > 0;
  }

  index_t stride(int s) const { return s == 0 ? state_stride<T>(dims_.outputs()) : units_; }
  T* state_row(int s, index_t n) const {
    return (s == 0 ? buffers_.hidden[0] : buffers_.state[s]) + n * stride(s);
  }
  T* checkpoint_row(int s, index_t n, index_t step) const {
    return arguments_.checkpoints + checkpoint<Cell>(dims_, s, n, step);
  }
  T* tape(index_t step, index_t position) const {
    if (arguments_.tape == nullptr) return nullptr;
    return arguments_.tape +
           (schedule_.row(step, position) - schedule_.row(steps_.end - 1, 0)) * tape_row_.stride;
  }

  void scan() {
    arguments_.wave.wait_for_begin(dims_.steps);
    const index_t own = own_.below(schedule_.active(-1));
    for (index_t i = 0; share_.first() && i < own; ++i) begin_sample(schedule_.sample(own_.at(i)));
    share_.meet();
    // Steps of a batch of one need nothing from here and are taken together (recurrent_panels.hpp).
    const bool alone = dims_.batch == 1 && !with_options_ && !Lines::wanted(dims_);
    const index_t end = alone ? std::min(steps_.end, schedule_.length(0)) : steps_.end;
    for (index_t step = steps_.begin; step < end;) {
      const index_t active = own_.below(schedule_.active(step));
      if (active == 0) break;
      // With few samples a product over many steps is made by larger tiles and reads W_ih far less often than
      // one per step, but its sums pass through memory (bounds: csrc/README.md).
      const index_t left = arguments_.wave.together(dims_.steps, end - step), fitting = kRowBlock / active;
      const index_t bound = active < 3 ? kInputsOfTwoRows : kInputsOfFewRows;
      const bool beforehand = Lines::wanted(dims_) || (active < 2 * Product::kRows && dims_.inputs > bound);
      const index_t together = !beforehand || fitting < 2 ? 1 : fitting < left ? fitting : left;
      const index_t taken = alone && together == 1 ? left : together, count = alone ? taken : 1;
      arguments_.wave.wait_for(step + taken);
      index_t first_line[kRowBlock];
      first_line[0] = -1;
      if (together > 1) input_lines(step, together, first_line);
      for (index_t s = 0; s < taken; s += count) run_steps(step + s, count, first_line[s]);
      step += taken;
      arguments_.wave.reach(step);
    }
    arguments_.wave.reach(dims_.steps);  // however long the longest sample: portions differ
  }

  // The states before the first step; what a sample without steps returns; zeros on the padding.
  void begin_sample(index_t n) {
    const index_t length = schedule_.length(n), step = steps_.begin;
    if (before_ != nullptr && length <= step) return;
    for (int s = 0; s < Cell::kStates; ++s) {
      const T* from = call_.state[s] == nullptr ? nullptr : call_.state[s] + n * dims_.state_size(s);
      if (step > 0) from = s == 0 ? before_->at(n, schedule_.time(n, step - 1)) : checkpoint_row(s, n, step);
      set_state(s, n, from);
    }
    if (before_ != nullptr) return;
    if (length == 0) end_sample(n);
    for (int s = 0; s < Cell::kStates; ++s) {
      const api::Sequence<T>& states = s == 0 ? arguments_.y : arguments_.states[s];
      for (index_t t = length; states.data != nullptr && t < dims_.steps; ++t) {
        for (index_t unit = 0; unit < dims_.state_size(s); ++unit) states.at(n, t)[unit] = T(0);
      }
    }
  }

  void set_state(int s, index_t n, const T* from) {
    copy_padded(state_row(s, n), stride(s), from, dims_.state_size(s));
  }

  void end_sample(index_t n) {
    for (int s = 0; s < Cell::kStates; ++s) {
      const index_t size = dims_.state_size(s);
      for (index_t unit = 0; unit < size; ++unit)
        arguments_.final_state[s][n * size + unit] = state_row(s, n)[unit];
    }
  }

  // Lines after the input product for all rows of some steps, at most kRowBlock together.
  void input_lines(index_t step, index_t together, index_t (&first_line)[kRowBlock]) {
    const T* x[kRowBlock];
    T* tapes[kRowBlock];
    index_t count = 0;
    for (index_t s = 0; s < together; ++s) {
      first_line[s] = count;
      const index_t active = own_.below(schedule_.active(step + s));
      for (index_t i = 0; i < active; ++i, ++count) {
        const index_t n = schedule_.sample(own_.at(i));
        x[count] = call_.x.at(n, schedule_.time(n, step + s));
        tapes[count] = tape(step + s, own_.at(i));
      }
    }
    lines_.add_inputs(0, count, x, tapes, panels_);
  }

  // One step of all own samples that run at it, or several of the only one. first_line: that of the first
  // lines after the input product, or -1: not made yet.
  void run_steps(index_t step, index_t count, index_t first_line) {
    const index_t active = own_.below(schedule_.active(step));
    Block block;
    for (index_t first = 0; first < active; first += kRowBlock) {
      begin_block(block, step, first, active);
      if (Lines::wanted(dims_)) {
        if (first_line < 0) lines_.add_inputs(0, block.count, block.x, block.tape, panels_);
        run_lines(block, first_line < 0 ? 0 : first_line);
      } else if constexpr (Cell::kGatedSums == 0) {
        panel_step_.run(block, count, strides_of(block), first_line, share_);
      }
      if (dims_.projection > 0) project(block);
    }
    if (count % 2 == 1) std::swap(buffers_.hidden[0], buffers_.hidden[1]);
    share_.meet();
    const index_t next = step + count, staying = next < dims_.steps ? own_.below(schedule_.active(next)) : 0;
    for (index_t i = staying; before_ == nullptr && share_.first() && i < active; ++i)
      end_sample(schedule_.sample(own_.at(i)));
  }

  // Null pointers do not move.
  RowStrides strides_of(const Block& block) const {
    const index_t forth = call_.reverse ? -1 : 1;
    RowStrides strides{forth * call_.x.time_stride, 0, 0, {}};
    if (block.y[0] != nullptr) strides.y = forth * arguments_.y.time_stride;
    if (block.tape[0] != nullptr) strides.tape = -tape_row_.stride;  // from the last step to the first
    for (int s = 1; s < Cell::kStates; ++s) {
      if (block.states[s][0] != nullptr) strides.states[s] = forth * arguments_.states[s].time_stride;
    }
    return strides;
  }

  // Rows first … of the own samples at `step`.
  void begin_block(Block& block, index_t step, index_t first, index_t active) {
    block.count = active - first < kRowBlock ? active - first : kRowBlock;
    T* const taped = arguments_.tape == nullptr ? nullptr : tape(step, 0);
    for (index_t r = 0; r < block.count; ++r) {
      const index_t position = own_.at(first + r), n = schedule_.sample(position);
      const index_t t = schedule_.time(n, step);
      block.x[r] = call_.x.at(n, t);
      for (int s = 0; s < Cell::kStates; ++s) block.previous[s][r] = state_row(s, n);
      block.operand[r] = block.previous[0][r];
      block.next_h[r] = buffers_.hidden[1] + n * stride(0);
      block.y[r] = before_ == nullptr ? arguments_.y.at(n, t) : nullptr;
      block.tape[r] = taped == nullptr ? nullptr : taped + position * tape_row_.stride;
      for (int s = 1; s < Cell::kStates; ++s)
        block.states[s][r] = arguments_.states[s].data == nullptr ? nullptr : arguments_.states[s].at(n, t);
      if (with_options_) begin_options(block, r, n, t, step);
    }
  }

  // What options do before the sums.
  void begin_options(Block& block, index_t r, index_t n, index_t t, index_t step) {
    const bool keep = before_ == nullptr && arguments_.checkpoints != nullptr && step % dims_.segment == 0;
    for (int s = 1; keep && s < Cell::kStates; ++s) {
      for (index_t unit = 0; unit < dims_.hidden; ++unit)
        checkpoint_row(s, n, step)[unit] = block.previous[s][r][unit];
    }
    if (schedule_.cut_before(n, step)) {
      for (int s = 0; s < Cell::kStates; ++s) set_state(s, n, call_.reset_state[s]);
    }
    const index_t row = (block_of_part_ + r) * units_;
    if (call_.hidden_mask != nullptr) {
      T* const operand =
          block.tape[r] == nullptr ? buffers_.operand + row : block.tape[r] + tape_row_.operand;
      const T* const mask = call_.hidden_mask + n * dims_.outputs();
      for (index_t unit = 0; unit < dims_.outputs(); ++unit)
        operand[unit] = block.previous[0][r][unit] * mask[unit];
      block.operand[r] = operand;
    }
    block.unprojected[r] =
        block.tape[r] == nullptr ? buffers_.unprojected + row : block.tape[r] + tape_row_.unprojected;
    for (int s = 0; call_.zoneout.training && s < Cell::kStates; ++s) {
      T* const mask = buffers_.zoneout + ((block_of_part_ + r) * Cell::kStates + s) * units_;
      block.zoneout[s][r] = mask;
      if (call_.zoneout.rate[s] > 0) {
        random_row<T>(call_.zoneout.key[s], n, t, dims_.state_size(s), call_.zoneout.rate[s], T(1), T(0),
                      mask);
      }
    }
  }

  // The step from whole lines.
  void run_lines(const Block& block, index_t first_line) {
    lines_.add_hidden(first_line, block.count, block.operand, block.tape, false);
    if constexpr (Cell::kGatedSums > 0) {
      const T* gated[kRowBlock];
      for (index_t r = 0; r < block.count; ++r) gated[r] = gate(block, r, lines_.line(first_line + r));
      lines_.add_hidden(first_line, block.count, gated, block.tape, true);
    }
    const CellForward<Cell, T> cell = cell_;
    T* const candidate = buffers_.candidate + share_.part * units_;
    for (index_t r = 0; r < block.count; ++r)
      cell.act_line(block, r, lines_.line(first_line + r), lines_.run(), candidate);
  }

  // The operand of the hidden product behind the gate; sum[0] becomes the gate.
  const T* gate(const Block& block, index_t r, T* line) const {
    T* const gated = block.tape[r] == nullptr ? buffers_.gated + (block_of_part_ + r) * units_
                                              : block.tape[r] + tape_row_.gated;
    for (index_t unit = 0; unit < dims_.hidden; unit += V::kLanes) {
      const index_t left = dims_.hidden - unit;
      const V value = Cell::gate(V::load(line + unit));
      value.store(line + unit);
      store_up_to(value * load_up_to(block.operand[r] + unit, left), gated + unit, left);
    }
    return gated;
  }

  // h = W_hr m
  void project(const Block& block) {
    const CellForward<Cell, T> cell = cell_;
    const T* starts[kRowBlock];
    for (const T*& row : starts) row = buffers_.zeros;
    dense_rows<T>(block.count, block.unprojected, dims_.projection, {1, {{0, dims_.hidden}}},
                  call_.packed + weights_.projection_offset(), starts, [&](index_t r, index_t unit, V h) {
                    cell.finish_h(block, r, unit, dims_.projection - unit, h);
                  });
  }

  const Arguments& arguments_;
  const api::RecurrentCall<T>& call_;
  const api::RecurrentDims& dims_;
  const Schedule<T>& schedule_;
  const parallel::Range steps_;
  const api::Sequence<const T>* const before_;
  const ScanShare share_;
  const OwnPositions own_;
  const Weights weights_;
  const TapeRow<Cell, T> tape_row_;
  const CellForward<Cell, T> cell_;
  const Lines lines_;
  const parallel::Range panels_;
  const PanelStep<Cell, T> panel_step_;
  const index_t units_, block_of_part_;
  const bool with_options_;
  Buffers buffers_;
};

}  // namespace rnnfast::RNNFAST_ISA
