// What follows from the gradients of the sums of a stretch of steps, as one product each over all its rows:
//   dx = dsums W_ih,  dW_ih = dsums^T x,  dW_hh = dsums^T h',  db = column sums of dsums,  dW_hr = dh^T m
// A stretch may be one of several, from the last to the first: sums then go on where the stretch before left
// them, so that recomputed segments give the bits of the whole.
#pragma once

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
    const index_t rows = dims.batch * (dims.segment < dims.steps ? dims.segment : dims.steps);
    Buffers buffers{};
    buffers.x = arena.template take_as<const T*>(rows);
    buffers.operand = arena.template take_as<const T*>(rows);
    buffers.dx = arena.template take_as<T*>(rows);
    buffers.zeros = arena.take(zeros(dims));
    buffers.products = arena.take(threads * OuterProduct<T>::workspace());
    return buffers;
  }

  static index_t zeros(const api::RecurrentDims& dims) {
    const index_t state = dims.widest_state();
    return state_stride<T>(dims.inputs > state ? dims.inputs : state);
  }

  StretchGradients(const api::RecurrentBackward<T>& arguments, const Schedule<T>& schedule,
                   const Buffers& buffers, parallel::Range steps, Sums sums)
      : arguments_(arguments),
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
    const index_t column = first_column();
    const Rows<const T> inputs{nullptr, 0, buffers_.x}, hidden{nullptr, 0, buffers_.operand};
    weight(input_segments<Cell>(dims_.hidden), column, dims_.inputs, inputs, gradients.dweight_ih);
    const index_t columns = dims_.outputs();
    if (Cell::kGatedSums > 0) {
      const index_t first = Cell::kGatedSums;
      T* const behind = gradients.dweight_hh + first * dims_.hidden * columns;
      weight(hidden_segments<Cell>(dims_.hidden, 0, Cell::kGatedSums), 0, columns, hidden,
             gradients.dweight_hh);
      weight(hidden_segments<Cell>(dims_.hidden, Cell::kGatedSums, Cell::kGates), 0, columns,
             {arguments_.tape + row_.gated, row_.stride}, behind);
    } else if (split) {
      weight(input_segments<Cell>(dims_.hidden), row_.second, columns, hidden, gradients.dweight_hh);
    } else {
      weight(hidden_segments<Cell>(dims_.hidden), column, columns, hidden, gradients.dweight_hh);
    }
    if (gradients.dbias_ih != nullptr && !split) bias_gradients();  // else UnitGradients has them
    if (dims_.projection > 0) {
      weight({1, {{0, dims_.projection}}}, row_.dprojected, dims_.hidden,
             {arguments_.tape + row_.unprojected, row_.stride}, gradients.dweight_hr);
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
    if (dims_.masked) return arguments_.tape + row * row_.stride + row_.operand;
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
  Rows<const T> tape_rows(index_t column) const { return {arguments_.tape + column, row_.stride}; }

  // dx[n, t] = dsums[n, t] W_ih
  void input_gradient() const {
    row_product<T>(call_.threads, rows_, dims_.inputs, input_segments<Cell>(dims_.hidden),
                   tape_rows(first_column()), arguments_.packed, buffers_.zeros, {nullptr, 0, buffers_.dx});
  }

  // Runs of columns of the tape, one below the other, times the operands of their rows.
  void weight(const Segments& segments, index_t column, index_t width, const Rows<const T>& operands,
              T* dweight) const {
    for (int s = 0; s < segments.count; ++s) {
      const Segment& segment = segments.segment[s];
      weight_gradient<T>(call_.threads, segment.depth, width, rows_, tape_rows(column + segment.offset),
                         operands, dweight, buffers_.products, sums_);
      dweight += segment.depth * width;
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
  const api::RecurrentCall<T>& call_;
  const api::RecurrentDims& dims_;
  const Buffers& buffers_;
  const TapeRow<Cell, T> row_;
  const index_t rows_;
  const Sums sums_;
};

}  // namespace rnnfast::RNNFAST_ISA
