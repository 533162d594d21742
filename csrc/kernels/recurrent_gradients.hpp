// What follows from the gradients of the sums of a stretch of steps, as one product each over all its rows:
//   dx = dsums W_ih,  dW_ih = dsums^T x,  dW_hh = dsums^T h',  db = column sums of dsums,  dW_hr = dh^T m
// A stretch may be one of several, from the last to the first: sums then go on where the stretch before left
// them, so that recomputed segments give the bits of the whole.
#pragma once

#include "kernels/column_sums.hpp"
#include "kernels/recurrent_layout.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
class StretchGradients {
 public:
  struct Buffers {
    const T **x, **operand;  // tables of rows
    T** dx;
    T* zeros;     // one row, also the place of an absent state
    T* products;  // packing space of every thread
  };
  static Buffers lay_out(const api::RecurrentDims& dims, int threads, Arena<T>& arena) {
    const index_t kept = dims.batch * (dims.segment < dims.steps ? dims.segment : dims.steps);
    const index_t most = most_rows(dims) > dims.batch ? most_rows(dims) : dims.batch;  // one step at least
    const index_t rows = kept < most ? kept : most;
    Buffers buffers{};
    buffers.x = arena.template take_as<const T*>(rows);
    buffers.operand = arena.template take_as<const T*>(rows);
    buffers.dx = arena.template take_as<T*>(rows);
    buffers.zeros = arena.take(zeros(dims));
    buffers.products = arena.take(threads * OuterProduct<T>::workspace());
    return buffers;
  }

  // Rows of a stretch, where one step has no more: those whose tape stays in a cache between the scan and the
  // products, but at least a block deep of these.
  static index_t most_rows(const api::RecurrentDims& dims) {
    constexpr index_t kBytes = 1 << 20;
    const index_t fitting = kBytes / static_cast<index_t>(sizeof(T)) / TapeRow<Cell, T>(dims).stride;
    return fitting < DenseProduct<T>::kDepthBlock ? DenseProduct<T>::kDepthBlock : fitting;
  }

  static index_t zeros(const api::RecurrentDims& dims) {
    const index_t state = dims.widest_state();
    return state_stride<T>(dims.inputs > state ? dims.inputs : state);
  }

  StretchGradients(const api::RecurrentBackward<T>& arguments, const Schedule<T>& schedule,
                   const Buffers& buffers, T* tape, parallel::Range steps, Sums sums)
      : arguments_(arguments),
        tape_(tape),
        call_(arguments.call),
        dims_(call_.dims),
        buffers_(buffers),
        row_(dims_),
        rows_(schedule.rows(steps.begin, steps.end)),
        sums_(sums) {
    fill_tables(schedule, steps);
  }

  void run() const {
    if (arguments_.dx.data != nullptr) input_gradient();
    const api::RecurrentGradients<T>& gradients = arguments_.gradients;
    const bool split = dims_.layer_norm == api::LayerNorm::kSplit;
    const index_t outputs = dims_.outputs(), hidden = dims_.hidden, column = first_column();
    // Gates whose two products join in one sum: their gradients pass by x and h' at once.
    const int together = split || dims_.inputs < OuterProduct<T>::kWidth ? 0 : joined_gates();
    if (together > 0) {
      const typename GatheredRows<T>::Part operands[] = {{buffers_.x, dims_.inputs},
                                                         {buffers_.operand, outputs}};
      const ColumnRun<T> runs[] = {{gradients.dweight_ih, dims_.inputs, dims_.inputs, 1},
                                   {gradients.dweight_hh, outputs, outputs, 1}};
      weight_gradient<T>(call_.threads, together * hidden, dims_.inputs + outputs, rows_, tape_rows(column),
                         GatheredRows<T>{operands}, runs, buffers_.products, sums_);
    }
    const Rows<const T> x{nullptr, 0, buffers_.x}, h{nullptr, 0, buffers_.operand},
        gated{tape_ + row_.gated, row_.stride};
    gates_apart(
        together, Cell::kInputSum, dims_.inputs, [&](int gate) { return column + gate * hidden; },
        [&](int) { return x; }, gradients.dweight_ih);
    gates_apart(
        together, Cell::kHiddenSum, outputs,
        [&](int gate) {
          return split ? row_.second + gate * hidden : column + Cell::kHiddenSum[gate] * hidden;
        },
        [&](int gate) { return Cell::kGatedSums > 0 && gate >= Cell::kGatedSums ? gated : h; },
        gradients.dweight_hh);
    if (gradients.dbias_ih != nullptr && !split) bias_gradients();  // else UnitGradients has them
    if (dims_.projection > 0) {
      weight_gradient<T>(call_.threads, dims_.projection, hidden, rows_, tape_rows(row_.dprojected),
                         Rows<const T>{tape_ + row_.unprojected, row_.stride}, gradients.dweight_hr,
                         buffers_.products, sums_);
    }
  }

 private:
  void fill_tables(const Schedule<T>& schedule, parallel::Range steps) const {
    index_t row = 0;
    for (index_t step = steps.end - 1; step >= steps.begin; --step) {
      const index_t active = schedule.active(step);
      for (index_t position = 0; position < active; ++position, ++row) {
        const index_t n = schedule.sample(position), t = schedule.time(n, step);
        buffers_.x[row] = call_.x.at(n, t);
        if (arguments_.dx.data != nullptr) buffers_.dx[row] = arguments_.dx.at(n, t);
        buffers_.operand[row] = operand(schedule, row, n, step);
      }
    }
  }

  // h' of a row.
  const T* operand(const Schedule<T>& schedule, index_t row, index_t n, index_t step) const {
    if (dims_.masked) return tape_ + row * row_.stride + row_.operand;
    const T* from = nullptr;
    if (schedule.cut_before(n, step)) {
      from = call_.reset_state[0];
    } else if (step > 0) {
      return arguments_.y.at(n, schedule.time(n, step - 1));
    } else if (call_.state[0] != nullptr) {
      from = call_.state[0] + n * dims_.outputs();
    }
    return from == nullptr ? buffers_.zeros : from;
  }

  // Where the gradients of the sums begin, or with layer norm those of what was normalised.
  index_t first_column() const { return dims_.layer_norm == api::LayerNorm::kNone ? 0 : row_.normalised; }
  Rows<const T> tape_rows(index_t column) const { return {tape_ + column, row_.stride}; }

  // dx[n, t] = dsums[n, t] W_ih
  void input_gradient() const {
    row_product<T>(call_.threads, rows_, dims_.inputs, input_segments<Cell>(dims_.hidden),
                   tape_rows(first_column()), arguments_.packed, buffers_.zeros, {nullptr, 0, buffers_.dx});
  }

  // Leading gates whose input and hidden products join in one sum, both times x and h'.
  static constexpr int joined_gates() {
    int gate = 0;
    const int most = Cell::kGatedSums > 0 ? Cell::kGatedSums : Cell::kGates;
    while (gate < most && Cell::kInputSum[gate] == gate && Cell::kHiddenSum[gate] == gate) ++gate;
    return gate;
  }

  // The other gates, in runs whose sums lie side by side; first and operand are functions of a run's first
  // gate.
  template <class First, class Operand>
  void gates_apart(int begin, const int (&sum)[Cell::kGates], index_t width, const First& first,
                   const Operand& operand, T* dweight) const {
    for (int gate = begin; gate < Cell::kGates;) {
      int end = gate + 1;
      while (end < Cell::kGates && end != Cell::kGatedSums && sum[end] == sum[end - 1] + 1) ++end;
      weight_gradient<T>(call_.threads, (end - gate) * dims_.hidden, width, rows_, tape_rows(first(gate)),
                         operand(gate), dweight + gate * dims_.hidden * width, buffers_.products, sums_);
      gate = end;
    }
  }

  void bias_gradients() const {
    const api::RecurrentGradients<T>& gradients = arguments_.gradients;
    bias(input_segments<Cell>(dims_.hidden), gradients.dbias_ih);
    if constexpr (side_by_side<Cell>(Cell::kHiddenSum)) {  // both biases add to the same sums
      for (index_t column = 0; column < Cell::kGates * dims_.hidden; ++column)
        gradients.dbias_hh[column] = gradients.dbias_ih[column];
    } else {
      bias(hidden_segments<Cell>(dims_.hidden), gradients.dbias_hh);
    }
  }
  void bias(const Segments& segments, T* dbias) const {
    for (int s = 0; s < segments.count; ++s) {
      const Segment& segment = segments.segment[s];
      column_sums<T>(segment.depth, rows_, tape_rows(first_column() + segment.offset), dbias, sums_);
      dbias += segment.depth;
    }
  }

  const api::RecurrentBackward<T>& arguments_;
  T* const tape_;  // of the stretch's last step, whose rows are the first
  const api::RecurrentCall<T>& call_;
  const api::RecurrentDims& dims_;
  const Buffers& buffers_;
  const TapeRow<Cell, T> row_;
  const index_t rows_;
  const Sums sums_;
};

}  // namespace rnnfast::RNNFAST_ISA
