// What follows from the gradients of the sums of a stretch of steps, as one product each over all its rows:
//   dx = dsums W_ih,  dW_ih = dsums^T x,  dW_hh = dsums^T h',  db = column sums of dsums,  dW_hr = dh^T m
// A stretch may be one of several, from the last to the first: sums then go on where the stretch before left
// them, so that recomputed segments give the bits of the whole.
#pragma once

#include "kernels/column_sums.hpp"
#include "kernels/recurrent_products.hpp"
#include "kernels/weight_gradient.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
class StretchGradients {
  using Products = GradientProducts<Cell, T>;

 public:
  struct Buffers {
    const T **x, **operand;  // tables of rows
    T** dx;
    T* biases;    // sums of the columns of all rows
    T* matrices;  // sums of products between two portions of rows, where complete ones are added elsewhere
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
    buffers.biases = arena.take(Cell::kSums * dims.hidden);
    buffers.matrices = arena.take(in_portions(dims) ? matrices(dims, nullptr) : 0);
    buffers.products = arena.take(threads * weight_gradient_workspace<T>());
    return buffers;
  }

  // Rows of a stretch, where one step has no more: those whose tape stays in a cache between the scan and the
  // products, but at least a block of the largest of these; in a wave no more than the layer below waits for.
  static index_t most_rows(const api::RecurrentDims& dims) {
    constexpr index_t kBytes = 1 << 20;
    const index_t fitting = kBytes / static_cast<index_t>(sizeof(T)) / TapeRow<Cell, T>(dims).stride;
    index_t largest = 0;
    for (const GradientProduct<T>& product : Products(dims, {}, is_joint(dims), false)) {
      const index_t sums = product.outputs * product.inputs();
      if (sums > largest) largest = sums;
    }
    const index_t fewest = OuterProduct<T>::depth_block(largest);
    const index_t most = fitting < fewest ? fewest : fitting;
    const index_t waited_for = api::Wave::part(dims.steps) * dims.batch;
    return dims.in_wave && waited_for < most ? waited_for : most;
  }

  StretchGradients(const api::RecurrentBackward<T>& arguments, const Schedule<T>& schedule,
                   const Buffers& buffers, const T* zeros, T* tape, parallel::Range steps, Sums sums)
      : arguments_(arguments),
        tape_(tape),
        call_(arguments.call),
        dims_(call_.dims),
        buffers_(buffers),
        zeros_(zeros),
        row_(dims_),
        rows_(schedule.rows(steps.begin, steps.end)),
        sums_(sums),
        last_(steps.begin == 0) {
    fill_tables(schedule, steps);
  }

  void run() const {
    if (arguments_.dx.data != nullptr) input_gradient();
    const bool joint = is_joint(dims_);
    const api::RecurrentGradients<T>& gradients = arguments_.gradients;
    // Where sums lie until they are complete, apart from what they are added to.
    api::RecurrentGradients<T> under_way = gradients;
    if (gradients.accumulate && in_portions(dims_)) matrices(dims_, buffers_.matrices, &under_way);
    const Products products(dims_, under_way, joint, false), targets(dims_, gradients, joint, false);
    const GradientProduct<T>* target = targets.begin();
    // By number; the last one, 1, is for biases, which are not products here.
    const Rows<const T> factors[kFactors - 1] = {{nullptr, 0, buffers_.x},
                                                 {nullptr, 0, buffers_.operand},
                                                 {tape_ + row_.gated, row_.stride},
                                                 {tape_ + row_.unprojected, row_.stride}};
    for (GradientProduct<T> product : products) {
      for (int f = 0; gradients.accumulate && f < product.factors; ++f)
        product.run[f].target = target->run[f].data;
      ++target;
      const auto rows = [&](int f) { return factors[static_cast<int>(product.factor[f])]; };
      const auto run = [&](const auto& b) {
        weight_gradient<T>(call_.threads, product.outputs, product.inputs(), rows_, tape_rows(product.column),
                           b, product.run, buffers_.products, sums_, last_);
      };
      if (product.factors == 1) {
        run(rows(0));
        continue;
      }
      const typename GatheredRows<T>::Part parts[] = {{rows(0).table, product.run[0].columns},
                                                      {rows(1).table, product.run[1].columns}};
      run(GatheredRows<T>{parts});
    }
    if (!Products::has_biases(dims_, gradients)) return;
    column_sums<T>(call_.threads, Cell::kSums * dims_.hidden, rows_, tape_rows(row_.dsums), buffers_.biases,
                   sums_);
  }

  // Behind the last stretch: of gates whose products join in one sum both biases have its gradient.
  static void finish(const api::RecurrentDims& dims, const Buffers& buffers,
                     const api::RecurrentGradients<T>& gradients) {
    if (!Products::has_biases(dims, gradients)) return;
    for (int gate = 0; gate < Cell::kGates; ++gate) {
      const T* const input = buffers.biases + Cell::kInputSum[gate] * dims.hidden;
      const T* const own = buffers.biases + Cell::kHiddenSum[gate] * dims.hidden;
      for (index_t unit = 0; unit < dims.hidden; ++unit) {
        give(gradients, input[unit], gradients.dbias_ih[gate * dims.hidden + unit]);
        give(gradients, own[unit], gradients.dbias_hh[gate * dims.hidden + unit]);
      }
    }
  }

 private:
  // Few inputs are a narrow product of their own.
  static bool is_joint(const api::RecurrentDims& dims) { return dims.inputs >= kDenseWidth<T>; }
  // Whether the products' sums may be put down before they are complete: between stretches or blocks of
  // depth, of which none has fewer rows.
  static bool in_portions(const api::RecurrentDims& dims) {
    return dims.in_wave || dims.segment < dims.steps || dims.batch * dims.steps > OuterProduct<T>::kNearDepth;
  }
  // Places for the gradients of all matrices from `memory` on. -> how many values they take
  static index_t matrices(const api::RecurrentDims& dims, T* memory,
                          api::RecurrentGradients<T>* places = nullptr) {
    Arena<T> arena(memory);
    const index_t rows = Cell::kGates * dims.hidden;
    T *const ih = arena.take(rows * dims.inputs), *const hh = arena.take(rows * dims.outputs()),
             *const hr = arena.take(dims.projection * dims.hidden);
    if (places != nullptr) {
      places->dweight_ih = ih;
      places->dweight_hh = hh;
      places->dweight_hr = hr;
    }
    return arena.used();
  }

  void fill_tables(const Schedule<T>& schedule, parallel::Range steps) const {
    index_t row = 0;
    for (index_t step = steps.end - 1; step >= steps.begin; --step) {
      const index_t active = schedule.active(step);
      for (index_t position = 0; position < active; ++position, ++row) {
        const index_t n = schedule.sample(position), t = schedule.time(n, step);
        buffers_.x[row] = call_.x.at(n, t);
        if (arguments_.dx.data != nullptr) buffers_.dx[row] = arguments_.dx.at(n, t);
        buffers_.operand[row] = dims_.masked ? tape_ + row * row_.stride + row_.operand
                                             : hidden_before(arguments_, schedule, n, step, zeros_);
      }
    }
  }

  Rows<const T> tape_rows(index_t column) const { return {tape_ + column, row_.stride}; }

  // dx[n, t] = dsums[n, t] W_ih
  void input_gradient() const {
    row_product<T>(call_.threads, rows_, dims_.inputs, input_segments<Cell>(dims_.hidden),
                   tape_rows(row_.dsums), arguments_.packed, zeros_, {nullptr, 0, buffers_.dx});
  }

  const api::RecurrentBackward<T>& arguments_;
  T* const tape_;  // of the stretch's last step, whose rows are the first
  const api::RecurrentCall<T>& call_;
  const api::RecurrentDims& dims_;
  const Buffers& buffers_;
  const T* const zeros_;
  const TapeRow<Cell, T> row_;
  const index_t rows_;
  const Sums sums_;
  const bool last_;  // of the stretches
};

}  // namespace rnnfast::RNNFAST_ISA
