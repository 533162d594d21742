// The scan driver, forward: every cell, both directions of time, float and double.
//
//   for each step: sums = start + W_ih x_t + W_hh h_{t-1};  (states, tape) = cell(sums, states)
//
// A panel owns all sums of its hidden units: they are formed for up to kRowBlock samples, in registers and
// L1, and the cell acts on them there; only h, the other states and the tape are stored. Threads own disjoint
// samples for the whole sequence and never wait for each other. The input product is made with the step or
// beforehand for many steps; the sums are the same chains.
#pragma once

#include "kernels/recurrent_layout.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
class RecurrentForwardPass {
  using V = Vec<T>;
  using Panel = ForwardPanel<Cell>;
  using Weights = ForwardWeights<Cell, T>;
  using Product = PanelProduct<T, Panel::kColumns>;
  static constexpr index_t kSumRow = Panel::kSums * V::kLanes;  // sums of one sample and one panel

 public:
  using Arguments = api::RecurrentForward<T>;

  static index_t workspace(const api::RecurrentDims& dims) {
    Arena<T> arena;
    lay_out(dims, arena);
    return arena.used();
  }

  static void run(const Arguments& arguments) {
    const api::RecurrentDims& dims = arguments.dims;
    const double operations = 2.0 * static_cast<double>(dims.batch * dims.steps) *
                              static_cast<double>(Cell::kGates * dims.hidden) *
                              static_cast<double>(dims.inputs + dims.hidden);
    const int parts =
        parallel::worthwhile_parts(arguments.threads, operations, ceil_div(dims.batch, Product::kRows));
    parallel::for_each_part(parts, [&](int part) {
      const FlushDenormals flush;
      RecurrentForwardPass(arguments, parallel::share(dims.batch, parts, part, Product::kRows)).scan();
    });
  }

 private:
  struct Buffers {
    T* hidden[2];                // rows of h: of the step before, and of this step
    T* state[api::kMostStates];  // rows of the other states, updated in place
    T* input_sums;               // sums after the input products of some steps
  };

  static Buffers lay_out(const api::RecurrentDims& dims, Arena<T>& arena) {
    Buffers buffers{};
    const index_t rows = dims.batch * state_stride<T>(dims.hidden);
    for (T*& hidden : buffers.hidden) hidden = arena.take(rows);
    for (int s = 1; s < Cell::kStates; ++s) buffers.state[s] = arena.take(rows);
    if (separate_input(dims))
      buffers.input_sums = arena.take(steps_at_once(dims) * dims.batch * sums_of_step(dims));
    return buffers;
  }

  // With few samples a product over many steps reads W_ih far less often than one per step.
  static bool separate_input(const api::RecurrentDims& dims) {
    return dims.batch < 2 * Product::kRows && dims.inputs > 2 && dims.steps > 1;
  }
  static index_t steps_at_once(const api::RecurrentDims& dims) {
    const index_t steps = dims.batch > 0 ? kRowBlock / dims.batch : 1;
    return steps < dims.steps ? steps : dims.steps;
  }
  static index_t sums_of_step(const api::RecurrentDims& dims) {
    return Weights{dims.inputs, dims.hidden}.panels() * kSumRow;
  }

  RecurrentForwardPass(const Arguments& arguments, parallel::Range samples)
      : arguments_(arguments),
        dims_(arguments.dims),
        samples_(samples),
        own_(samples.end - samples.begin),
        weights_{dims_.inputs, dims_.hidden},
        stride_(state_stride<T>(dims_.hidden)) {
    Arena<T> arena(arguments.workspace);
    buffers_ = lay_out(dims_, arena);
  }

  void scan() {
    if (own_ == 0) return;
    load_states();
    const StepOrder order{dims_.steps, arguments_.reverse};
    const bool separate = separate_input(dims_);
    const index_t chunk = separate ? steps_at_once(dims_) : dims_.steps;
    for (index_t begin = 0; begin < dims_.steps; begin += chunk) {
      const index_t end = begin + chunk < dims_.steps ? begin + chunk : dims_.steps;
      if (separate) input_products(order, begin, end);
      for (index_t step = begin; step < end; ++step) {
        for (index_t first = 0; first < own_; first += kRowBlock) {
          const index_t count = own_ - first < kRowBlock ? own_ - first : kRowBlock;
          run_step(order.at(step), samples_.begin + first, count,
                   separate ? own_input_sums() + (step - begin) * own_ * sums_of_step(dims_) : nullptr);
        }
        T* const written = buffers_.hidden[1];
        buffers_.hidden[1] = buffers_.hidden[0];
        buffers_.hidden[0] = written;
      }
    }
    store_states();
  }

  T* state_row(int s, index_t n) const {
    return (s == 0 ? buffers_.hidden[0] : buffers_.state[s]) + n * stride_;
  }

  void load_states() {
    for (int s = 0; s < Cell::kStates; ++s) {
      for (index_t n = samples_.begin; n < samples_.end; ++n) {
        const T* from = arguments_.state[s] == nullptr ? nullptr : arguments_.state[s] + n * dims_.hidden;
        T* to = state_row(s, n);
        for (index_t unit = 0; unit < stride_; ++unit)
          to[unit] = from != nullptr && unit < dims_.hidden ? from[unit] : T(0);
      }
    }
  }

  void store_states() {
    for (int s = 0; s < Cell::kStates; ++s) {
      for (index_t n = samples_.begin; n < samples_.end; ++n) {
        const T* from = state_row(s, n);
        T* to = arguments_.final_state[s] + n * dims_.hidden;
        for (index_t unit = 0; unit < dims_.hidden; ++unit) to[unit] = from[unit];
      }
    }
  }

  T* own_input_sums() const {
    return buffers_.input_sums + samples_.begin * steps_at_once(dims_) * sums_of_step(dims_);
  }

  const T* start_of(index_t panel) const { return arguments_.packed + panel * weights_.start_stride(); }
  const T* input_panel(index_t panel) const {
    return arguments_.packed + weights_.input_offset() + panel * weights_.input_stride();
  }
  const T* hidden_panel(index_t panel) const {
    return arguments_.packed + weights_.hidden_offset() + panel * weights_.hidden_stride();
  }

  static RNNFAST_INLINE void copy_sums(const T* from, T* to) {
    for (int s = 0; s < Panel::kSums; ++s) V::load(from + s * V::kLanes).store(to + s * V::kLanes);
  }

  // Adds rows x panel, all groups of gates.
  static void add_product(index_t count, const T* const* rows, const T* panel, index_t depth, SumRows<T> sums,
                          const int (&slots)[Panel::kGroups * Panel::kColumns]) {
    for (int group = 0; group < Panel::kGroups; ++group, panel += depth * Panel::kColumns * V::kLanes) {
      Product::run(count, rows, {1, {{0, depth}}}, panel, sums, slots + group * Panel::kColumns);
    }
  }

  // Sums after the input products for all steps of a chunk: row (step, own sample), each [panel][sum].
  void input_products(const StepOrder& order, index_t begin, index_t end) {
    const index_t count = (end - begin) * own_;  // at most kRowBlock
    const T* rows[kRowBlock];
    for (index_t r = 0; r < count; ++r)
      rows[r] = arguments_.x.at(samples_.begin + r % own_, order.at(begin + r / own_));
    for (index_t panel = 0; panel < weights_.panels(); ++panel) {
      const SumRows<T> sums{own_input_sums() + panel * kSumRow, sums_of_step(dims_)};
      for (index_t r = 0; r < count; ++r) copy_sums(start_of(panel), sums.data + r * sums.stride);
      add_product(count, rows, input_panel(panel), dims_.inputs, sums, Panel::kInputSlots.slot);
    }
  }

  void run_step(index_t t, index_t first, index_t count, const T* input_sums) {
    alignas(64) T sums[kRowBlock * kSumRow];
    const T* inputs[kRowBlock];
    const T* hidden[kRowBlock];
    for (index_t r = 0; r < count; ++r) {
      inputs[r] = arguments_.x.at(first + r, t);
      hidden[r] = buffers_.hidden[0] + (first + r) * stride_;
    }
    for (index_t panel = 0; panel < weights_.panels();) {
      // Lines of sums: one per sample, or for one sample alone one per panel.
      const bool together = count == 1 && panel + Panel::kPanelsForOneRow <= weights_.panels();
      const index_t panels = together ? Panel::kPanelsForOneRow : 1;
      const index_t lines = together ? panels : count;
      for (index_t line = 0; line < lines; ++line) {
        const index_t own_panel = together ? panel + line : panel, r = together ? 0 : line;
        copy_sums(input_sums == nullptr
                      ? start_of(own_panel)
                      : input_sums + (first - samples_.begin + r) * sums_of_step(dims_) + own_panel * kSumRow,
                  sums + line * kSumRow);
      }
      if (together) {
        constexpr index_t kGroup = Panel::kColumns * V::kLanes;
        if (input_sums == nullptr) {
          Product::run_one_row(inputs[0], {1, {{0, dims_.inputs}}}, input_panel(panel), dims_.inputs * kGroup,
                               sums, Panel::kInputSlots.one_row);
        }
        Product::run_one_row(hidden[0], {1, {{0, dims_.hidden}}}, hidden_panel(panel), dims_.hidden * kGroup,
                             sums, Panel::kHiddenSlots.one_row);
      } else {
        if (input_sums == nullptr) {
          add_product(count, inputs, input_panel(panel), dims_.inputs, {sums, kSumRow},
                      Panel::kInputSlots.slot);
        }
        add_product(count, hidden, hidden_panel(panel), dims_.hidden, {sums, kSumRow},
                    Panel::kHiddenSlots.slot);
      }
      for (index_t line = 0; line < lines; ++line) {
        act(sums + line * kSumRow, first + (together ? 0 : line), t, together ? panel + line : panel);
      }
      panel += panels;
    }
  }

  // The cell on one sample and one panel, and its stores.
  RNNFAST_INLINE void act(const T* sums, index_t n, index_t t, index_t panel) {
    for (int u = 0; u < Panel::kUnitVectors; ++u) {
      const index_t unit = panel * Weights::kWidth + u * V::kLanes;
      const index_t left = dims_.hidden - unit;
      if (left <= 0) return;
      V sum[Cell::kSums], previous[Cell::kStates], next[Cell::kStates], tape[Cell::kSums];
      for (int s = 0; s < Cell::kSums; ++s)
        sum[s] = V::load(sums + (s * Panel::kUnitVectors + u) * V::kLanes);
      previous[0] = V::load(buffers_.hidden[0] + n * stride_ + unit);
      for (int s = 1; s < Cell::kStates; ++s) previous[s] = V::load(buffers_.state[s] + n * stride_ + unit);
      Cell::forward(sum, previous, next, tape);
      next[0].store(buffers_.hidden[1] + n * stride_ + unit);
      for (int s = 1; s < Cell::kStates; ++s) next[s].store(buffers_.state[s] + n * stride_ + unit);
      store_up_to(next[0], arguments_.y.at(n, t) + unit, left);
      if (arguments_.tape_gates == nullptr) continue;
      const index_t row = t * dims_.batch + n;
      T* const gates = arguments_.tape_gates + row * tape_stride<Cell, T>(dims_.hidden) + unit;
      for (int s = 0; s < Cell::kTape; ++s) store_up_to(tape[s], gates + s * dims_.hidden, left);
      T* const states = arguments_.tape_states + row * (Cell::kStates - 1) * dims_.hidden + unit;
      for (int s = 1; s < Cell::kStates; ++s) store_up_to(next[s], states + (s - 1) * dims_.hidden, left);
    }
  }

  const Arguments& arguments_;
  const api::RecurrentDims dims_;
  const parallel::Range samples_;
  const index_t own_;
  const Weights weights_;
  const index_t stride_;
  Buffers buffers_;
};

}  // namespace rnnfast::RNNFAST_ISA
