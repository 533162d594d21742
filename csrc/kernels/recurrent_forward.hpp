// The scan driver, forward: every cell, both directions of time, float and double.
//
//   for each step: sums = start + W_ih x_t + W_hh h_{t-1};  (states, tape) = cell(sums, states)
//
// A tile owns all sums of its hidden units for some samples: the products end in registers, the cell acts on them there, and only
// h, the other states and the tape are stored. Threads own disjoint samples for the whole sequence and never wait for each other.
// The input product is either part of the tile or made beforehand for some steps at once; the sums are the same chains.
#pragma once

#include "kernels/recurrent_layout.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
class RecurrentForwardPass {
  using V = Vec<T>;
  using Tile = ForwardTile<Cell>;
  using Weights = ForwardWeights<Cell, T>;
  static constexpr int kUnitVectors = Tile::kUnitVectors;

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
                              static_cast<double>(Cell::kGates * dims.hidden) * static_cast<double>(dims.inputs + dims.hidden);
    const int parts = parallel::worthwhile_parts(arguments.threads, operations, ceil_div(dims.batch, Tile::kRows));
    parallel::for_each_part(parts, [&](int part) {
      const FlushDenormals flush;
      RecurrentForwardPass pass(arguments, parallel::share(dims.batch, parts, part, Tile::kRows));
      pass.scan();
    });
  }

 private:
  struct Buffers {
    T* hidden[2];  // rows of h, of the step before and of this step in turn
    T* state[api::kMostStates];  // rows of the other states, updated in place
    T* input_sums;  // the input products of some steps
  };

  static Buffers lay_out(const api::RecurrentDims& dims, Arena<T>& arena) {
    Buffers buffers{};
    const index_t rows = dims.batch * state_stride<T>(dims.hidden);
    for (T*& hidden : buffers.hidden) hidden = arena.take(rows);
    for (int s = 1; s < Cell::kStates; ++s) buffers.state[s] = arena.take(rows);
    if (separate_input(dims)) buffers.input_sums = arena.take(steps_at_once(dims) * dims.batch * input_row(dims));
    return buffers;
  }

  // A product over many rows reads W_ih once for all of them, a tile once per step: with few samples that decides.
  static bool separate_input(const api::RecurrentDims& dims) {
    return dims.batch < 2 * Tile::kRows && dims.inputs > 2 && dims.steps > 1;
  }
  static index_t steps_at_once(const api::RecurrentDims& dims) {
    constexpr index_t kRowsAtOnce = 96;  // enough to read W_ih rarely, few enough for the sums to stay in L2
    const index_t steps = ceil_div(kRowsAtOnce, dims.batch > 0 ? dims.batch : 1);
    return steps < dims.steps ? steps : dims.steps;
  }
  static index_t input_row(const api::RecurrentDims& dims) {
    return Weights{dims.inputs, dims.hidden}.panels() * Cell::kGates * Weights::kWidth;
  }

  RecurrentForwardPass(const Arguments& arguments, parallel::Range samples)
      : arguments_(arguments),
        dims_(arguments.dims),
        samples_(samples),
        weights_{dims_.inputs, dims_.hidden},
        stride_(state_stride<T>(dims_.hidden)) {
    Arena<T> arena(arguments.workspace);
    buffers_ = lay_out(dims_, arena);
  }

  void scan() {
    load_states();
    const StepOrder order{dims_.steps, arguments_.reverse};
    const bool separate = separate_input(dims_);
    const index_t chunk = separate ? steps_at_once(dims_) : dims_.steps;
    for (index_t begin = 0; begin < dims_.steps; begin += chunk) {
      const index_t end = begin + chunk < dims_.steps ? begin + chunk : dims_.steps;
      if (separate) input_products(order, begin, end);
      for (index_t step = begin; step < end; ++step) {
        run_step(order.at(step), separate ? input_sums_of(step - begin) : nullptr);
        T* const written = buffers_.hidden[1];
        buffers_.hidden[1] = buffers_.hidden[0];
        buffers_.hidden[0] = written;
      }
    }
    store_states();
  }

  T* state_row(int s, index_t n) const { return (s == 0 ? buffers_.hidden[0] : buffers_.state[s]) + n * stride_; }

  void load_states() {
    for (int s = 0; s < Cell::kStates; ++s) {
      for (index_t n = samples_.begin; n < samples_.end; ++n) {
        const T* from = arguments_.state[s] == nullptr ? nullptr : arguments_.state[s] + n * dims_.hidden;
        T* to = state_row(s, n);
        for (index_t unit = 0; unit < stride_; ++unit) to[unit] = from != nullptr && unit < dims_.hidden ? from[unit] : T(0);
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

  // Rows of input sums: one per (step of the chunk, own sample), each [panel][gate][vector].
  T* input_sums_of(index_t step_in_chunk) const {
    const index_t own = samples_.end - samples_.begin;
    return buffers_.input_sums + (samples_.begin * steps_at_once(dims_) + step_in_chunk * own) * input_row(dims_);
  }

  void input_products(const StepOrder& order, index_t begin, index_t end) {
    const index_t own = samples_.end - samples_.begin;
    T* const sums = input_sums_of(0);
    for (index_t panel = 0; panel < weights_.panels(); ++panel) {
      const T* start = arguments_.packed + panel * weights_.start_stride();
      const T* weight = arguments_.packed + weights_.input_offset() + panel * weights_.input_stride();
      for_each_tile<Tile::kRows>(0, (end - begin) * own, [&](auto tile_rows, index_t first) {
        constexpr int kRows = decltype(tile_rows)::value;
        constexpr int kColumns = Cell::kGates * kUnitVectors;
        V sum[kRows][kColumns];
        const T* rows[kRows];
        RNNFAST_UNROLL
        for (int r = 0; r < kRows; ++r) {
          rows[r] = arguments_.x.at(samples_.begin + (first + r) % own, order.at(begin + (first + r) / own));
          RNNFAST_UNROLL
          for (int c = 0; c < kColumns; ++c) {
            sum[r][c] = V::load(start + (Cell::kInputSum[c / kUnitVectors] * kUnitVectors + c % kUnitVectors) * V::kLanes);
          }
        }
        accumulate<kRows, 1, kColumns, 1, Identity>(sum, rows, weight, 0, dims_.inputs);
        RNNFAST_UNROLL
        for (int r = 0; r < kRows; ++r) {
          T* to = sums + (first + r) * input_row(dims_) + panel * kColumns * V::kLanes;
          RNNFAST_UNROLL
          for (int c = 0; c < kColumns; ++c) sum[r][c].store(to + c * V::kLanes);
        }
      });
    }
  }

  void run_step(index_t t, const T* input_sums) {
    const bool one_row = samples_.end - samples_.begin == 1;
    for_each_panel<T, kUnitVectors, Tile::kPanelsForOneRow>(dims_.hidden, one_row, [&](auto panels, index_t panel) {
      constexpr int kPanels = decltype(panels)::value;
      if constexpr (kPanels > 1) {
        run_tile<1, kPanels>(t, panel, samples_.begin, input_sums);
      } else {
        for_each_tile<Tile::kRows>(samples_.begin, samples_.end, [&](auto rows, index_t first) {
          run_tile<decltype(rows)::value, 1>(t, panel, first, input_sums);
        });
      }
    });
  }

  // Gate columns of a panel feed the sums of their gate.
  template <bool kHidden>
  struct GateSum {
    static constexpr int of(int column) {
      const int gate = column / kUnitVectors;
      return (kHidden ? Cell::kHiddenSum[gate] : Cell::kInputSum[gate]) * kUnitVectors + column % kUnitVectors;
    }
  };

  template <int kRows, int kPanels>
  void run_tile(index_t t, index_t panel, index_t first, const T* input_sums) {
    constexpr int kPanelSums = Cell::kSums * kUnitVectors;
    constexpr int kColumns = Cell::kGates * kUnitVectors;
    V sum[kRows][kPanels * kPanelSums];
    const T* start = arguments_.packed + panel * weights_.start_stride();
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) {
      RNNFAST_UNROLL
      for (int s = 0; s < kPanels * kPanelSums; ++s) sum[r][s] = V::load(start + s * V::kLanes);
    }
    const T* rows[kRows];
    if (input_sums != nullptr) {
      RNNFAST_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const T* from = input_sums + (first + r - samples_.begin) * input_row(dims_) + panel * kColumns * V::kLanes;
        RNNFAST_UNROLL
        for (int c = 0; c < kPanels * kColumns; ++c) {
          sum[r][c / kColumns * kPanelSums + GateSum<false>::of(c % kColumns)] = V::load(from + c * V::kLanes);
        }
      }
    } else {
      RNNFAST_UNROLL
      for (int r = 0; r < kRows; ++r) rows[r] = arguments_.x.at(first + r, t);
      const T* weight = arguments_.packed + weights_.input_offset() + panel * weights_.input_stride();
      accumulate<kRows, kPanels, kColumns, 1, GateSum<false>>(sum, rows, weight, weights_.input_stride(), dims_.inputs);
    }
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) rows[r] = buffers_.hidden[0] + (first + r) * stride_;
    const T* weight = arguments_.packed + weights_.hidden_offset() + panel * weights_.hidden_stride();
    accumulate<kRows, kPanels, kColumns, 1, GateSum<true>>(sum, rows, weight, weights_.hidden_stride(), dims_.hidden);

    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) {
      RNNFAST_UNROLL
      for (int u = 0; u < kPanels * kUnitVectors; ++u) {
        V own[Cell::kSums];
        RNNFAST_UNROLL
        for (int s = 0; s < Cell::kSums; ++s) {
          own[s] = sum[r][u / kUnitVectors * kPanelSums + s * kUnitVectors + u % kUnitVectors];
        }
        act(own, first + r, t, panel * Weights::kWidth + u * V::kLanes);
      }
    }
  }

  // The cell on the registers of one sample and one vector of units, and its stores.
  RNNFAST_INLINE void act(const V (&sum)[Cell::kSums], index_t n, index_t t, index_t unit) {
    if (unit >= dims_.hidden) return;
    V previous[Cell::kStates], next[Cell::kStates], tape[Cell::kSums];
    previous[0] = V::load(buffers_.hidden[0] + n * stride_ + unit);
    for (int s = 1; s < Cell::kStates; ++s) previous[s] = V::load(buffers_.state[s] + n * stride_ + unit);
    Cell::forward(sum, previous, next, tape);
    next[0].store(buffers_.hidden[1] + n * stride_ + unit);
    for (int s = 1; s < Cell::kStates; ++s) next[s].store(buffers_.state[s] + n * stride_ + unit);

    const index_t left = dims_.hidden - unit;
    store_up_to(next[0], arguments_.y.at(n, t) + unit, left);
    if (arguments_.tape_gates == nullptr) return;
    const index_t row = t * dims_.batch + n;
    for (int s = 0; s < Cell::kTape; ++s) {
      store_up_to(tape[s], arguments_.tape_gates + (row * Cell::kSums + s) * dims_.hidden + unit, left);
    }
    for (int s = 1; s < Cell::kStates; ++s) {
      store_up_to(next[s], arguments_.tape_states + (row * (Cell::kStates - 1) + s - 1) * dims_.hidden + unit, left);
    }
  }

  const Arguments& arguments_;
  const api::RecurrentDims dims_;
  const parallel::Range samples_;
  const Weights weights_;
  const index_t stride_;
  Buffers buffers_;
};

}  // namespace rnnfast::RNNFAST_ISA
