// The scan driver, backward: every cell, both directions of time, float and double.
//
//   for each step from the last to the first:
//     dh_t    = dy_t + (what the cell passes on directly) + W_hh^T dsums_{t+1}
//     dsums_t = cell gradient(dh_t, …), over the tape's gates, which are used up
//   then one product each over all T N rows:
//     dx = dsums W_ih,  dW_ih = dsums^T x,  dW_hh = dsums^T h_{t-1},  db = column sums of dsums
//
// The cell's gradient is the epilogue of the product with W_hh. Threads own disjoint samples in the scan and
// disjoint outputs in the products, so no sum is ever divided.
#pragma once

#include "kernels/recurrent_layout.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
class RecurrentBackwardPass {
  using V = Vec<T>;
  using Weights = BackwardWeights<Cell, T>;

 public:
  using Arguments = api::RecurrentBackward<T>;

  static index_t workspace(const api::RecurrentDims& dims, int threads) {
    Arena<T> arena;
    lay_out(dims, threads, arena);
    return arena.used();
  }

  static void run(const Arguments& arguments) {
    const FlushDenormals flush;
    const RecurrentBackwardPass pass(arguments);
    pass.scan_all();
    if (arguments.dx.data != nullptr) pass.input_gradient();
    pass.weight_gradients();
  }

 private:
  struct Buffers {
    T* dstate[api::kMostStates];  // rows: gradients of the states, as far as they do not come through W_hh
    T* zeros;                     // one padded row, for an absent initial h and the start of dx
    T* products;                  // packing space of every thread
  };

  static Buffers lay_out(const api::RecurrentDims& dims, int threads, Arena<T>& arena) {
    Buffers buffers{};
    for (int s = 0; s < Cell::kStates; ++s)
      buffers.dstate[s] = arena.take(dims.batch * state_stride<T>(dims.hidden));
    buffers.zeros = arena.take(zeros(dims));
    buffers.products = arena.take(threads * OuterProduct<T>::workspace());
    return buffers;
  }

  static index_t zeros(const api::RecurrentDims& dims) {
    return round_up(dims.inputs > dims.hidden ? dims.inputs : dims.hidden, kDenseWidth<T>);
  }

  explicit RecurrentBackwardPass(const Arguments& arguments)
      : arguments_(arguments),
        dims_(arguments.dims),
        weights_{dims_.inputs, dims_.hidden},
        order_{dims_.steps, arguments.reverse},
        stride_(state_stride<T>(dims_.hidden)),
        row_(tape_stride<Cell, T>(dims_.hidden)) {
    Arena<T> arena(arguments.workspace);
    buffers_ = lay_out(dims_, arguments.threads, arena);
    for (index_t k = 0; k < zeros(dims_); ++k) buffers_.zeros[k] = T(0);
  }

  // Row of the gradients of the sums of sample n at time t.
  T* dsums(index_t n, index_t t) const { return arguments_.tape_gates + (t * dims_.batch + n) * row_; }

  // State s of sample n before step `step` runs.
  const T* state_before(int s, index_t n, index_t step) const {
    if (step == 0)
      return arguments_.state[s] == nullptr ? buffers_.zeros : arguments_.state[s] + n * dims_.hidden;
    return state_after(s, n, step - 1);
  }
  const T* state_after(int s, index_t n, index_t step) const {
    const index_t t = order_.at(step);
    if (s == 0) return arguments_.y.at(n, t);
    return arguments_.tape_states + ((t * dims_.batch + n) * (Cell::kStates - 1) + s - 1) * dims_.hidden;
  }

  double scan_operations() const {
    return 2.0 * static_cast<double>(dims_.batch * dims_.steps) *
           static_cast<double>(Cell::kGates * dims_.hidden) * static_cast<double>(dims_.hidden);
  }

  void scan_all() const {
    const int parts = parallel::worthwhile_parts(arguments_.threads, scan_operations(),
                                                 ceil_div(dims_.batch, DenseProduct<T>::kRows));
    parallel::for_each_part(parts, [&](int part) {
      const FlushDenormals flush;
      scan(parallel::share(dims_.batch, parts, part, DenseProduct<T>::kRows));
    });
  }

  void scan(parallel::Range samples) const {
    for (int s = 0; s < Cell::kStates; ++s) {
      for (index_t n = samples.begin; n < samples.end; ++n) {
        const T* from = arguments_.dfinal_state[s] == nullptr ? buffers_.zeros
                                                              : arguments_.dfinal_state[s] + n * dims_.hidden;
        T* to = buffers_.dstate[s] + n * stride_;
        for (index_t unit = 0; unit < stride_; ++unit) to[unit] = unit < dims_.hidden ? from[unit] : T(0);
      }
    }
    for (index_t step = dims_.steps; step >= 0; --step) through_hidden_weights(samples, step);
    for (int s = 1; s < Cell::kStates; ++s) {
      for (index_t n = samples.begin; n < samples.end; ++n) {
        const T* from = buffers_.dstate[s] + n * stride_;
        for (index_t unit = 0; unit < dims_.hidden; ++unit)
          arguments_.dstate[s][n * dims_.hidden + unit] = from[unit];
      }
    }
  }

  // The gradient of h before step `step`: what was passed on directly, plus W_hh^T times the gradients of
  // that step's sums (behind the last step there are none). It goes into the cell's gradient of the step
  // before, or is that of the initial state.
  void through_hidden_weights(parallel::Range samples, index_t step) const {
    Segments segments = hidden_segments<Cell>(dims_.hidden);
    if (step == dims_.steps) segments.count = 0;
    const index_t t = step == dims_.steps ? 0 : order_.at(step);
    const T* rows[kRowBlock];
    for (index_t first = samples.begin; first < samples.end; first += kRowBlock) {
      const index_t count = samples.end - first < kRowBlock ? samples.end - first : kRowBlock;
      for (index_t r = 0; r < count; ++r) rows[r] = dsums(first + r, t);
      dense_rows<T>(count, rows, dims_.hidden, segments, arguments_.packed + weights_.hidden_offset(),
                    {buffers_.dstate[0] + first * stride_, stride_}, [&](index_t r, index_t unit, V dh) {
                      if (step > 0) {
                        act(first + r, step - 1, unit, dh);
                      } else {
                        store_up_to(dh, arguments_.dstate[0] + (first + r) * dims_.hidden + unit,
                                    dims_.hidden - unit);
                      }
                    });
    }
  }

  // The cell's gradient on one sample and one vector of units.
  RNNFAST_INLINE void act(index_t n, index_t step, index_t unit, V dh) const {
    const index_t left = dims_.hidden - unit;
    const index_t t = order_.at(step);
    const auto load = [left](const T* from) { return load_up_to(from, left); };
    V tape[Cell::kSums], previous[Cell::kStates], next[Cell::kStates], dnext[Cell::kStates],
        dsum[Cell::kSums], dprevious[Cell::kStates];
    T* const row = dsums(n, t) + unit;
    for (int s = 0; s < Cell::kSums; ++s)
      tape[s] = s < Cell::kTape ? load(row + s * dims_.hidden) : V::zero();
    for (int s = 0; s < Cell::kStates; ++s) {
      previous[s] = load(state_before(s, n, step) + unit);
      next[s] = load(state_after(s, n, step) + unit);
    }
    dnext[0] = arguments_.dy.data == nullptr ? dh : dh + load(arguments_.dy.at(n, t) + unit);
    for (int s = 1; s < Cell::kStates; ++s) dnext[s] = V::load(buffers_.dstate[s] + n * stride_ + unit);
    Cell::backward(tape, previous, next, dnext, dsum, dprevious);
    for (int s = 0; s < Cell::kSums; ++s) store_up_to(dsum[s], row + s * dims_.hidden, left);
    for (int s = 0; s < Cell::kStates; ++s) dprevious[s].store(buffers_.dstate[s] + n * stride_ + unit);
  }

  // The gradients of the sums as T N rows, from some column on.
  Rows<const T> dsum_rows(index_t column) const {
    return plain_rows<const T>(arguments_.tape_gates + column, row_);
  }

  // dx[n, t] = dsums[n, t] W_ih
  void input_gradient() const {
    row_product<T>(arguments_.threads, dims_.batch * dims_.steps, dims_.inputs,
                   input_segments<Cell>(dims_.hidden), dsum_rows(0), arguments_.packed, buffers_.zeros,
                   {arguments_.dx.data, dims_.batch, arguments_.dx.time_stride, arguments_.dx.batch_stride});
  }

  void weight_gradients() const {
    const index_t rows = dims_.batch * dims_.steps;
    const Rows<const T> inputs{arguments_.x.data, dims_.batch, arguments_.x.time_stride,
                               arguments_.x.batch_stride};
    const auto sums_of = [&](const Segments& segments, index_t width, const Rows<const T>& operands,
                             T* dweight, T* dbias) {
      for (int s = 0; s < segments.count; ++s) {
        const Segment& segment = segments.segment[s];
        weight_gradient<T>(arguments_.threads, segment.depth, width, rows, dsum_rows(segment.offset),
                           operands, dweight, buffers_.products);
        dweight += segment.depth * width;
        if (dbias == nullptr) continue;
        column_sums<T>(segment.depth, rows, dsum_rows(segment.offset), dbias);
        dbias += segment.depth;
      }
    };
    sums_of(input_segments<Cell>(dims_.hidden), dims_.inputs, inputs, arguments_.dweight_ih,
            arguments_.dbias_ih);
    constexpr bool kSameBias = side_by_side<Cell>(Cell::kHiddenSum);  // both biases add to the same sums
    sums_of(hidden_segments<Cell>(dims_.hidden), dims_.hidden, hidden_rows(), arguments_.dweight_hh,
            kSameBias ? nullptr : arguments_.dbias_hh);
    if (!kSameBias || arguments_.dbias_hh == nullptr) return;
    for (index_t column = 0; column < Cell::kGates * dims_.hidden; ++column)
      arguments_.dbias_hh[column] = arguments_.dbias_ih[column];
  }

  // h before each step: y one step earlier in the order of steps, and the initial state before the first.
  Rows<const T> hidden_rows() const {
    const bool given = arguments_.state[0] != nullptr;
    return {arguments_.y.data,           dims_.batch,
            arguments_.y.time_stride,    arguments_.y.batch_stride,
            arguments_.reverse ? 1 : -1, order_.at(0),
            given ? dims_.hidden : 0,    given ? arguments_.state[0] : buffers_.zeros};
  }

  const Arguments& arguments_;
  const api::RecurrentDims dims_;
  const Weights weights_;
  const StepOrder order_;
  const index_t stride_;
  const index_t row_;
  Buffers buffers_;
};

}  // namespace rnnfast::RNNFAST_ISA
