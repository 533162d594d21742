// Which gradients of a row of the tape are multiplied with what, and where the products belong:
//   dW_ih = dsums^T x,  dW_hh = dsums^T h',  db = dsums^T 1,  dW_hr = dh^T m
#pragma once

#include "kernels/gathered_rows.hpp"
#include "kernels/recurrent_layout.hpp"

namespace rnnfast::RNNFAST_ISA {

// Of every row: x, h', the gated h', what was projected, the number 1.
enum class Factor { kInputs, kOperand, kGated, kUnprojected, kOne };
constexpr int kFactors = 5;

// Gradients from `column` of a row on, as many as there are outputs, by some factors side by side.
template <class T>
struct GradientProduct {
  index_t column, outputs;
  int factors;
  Factor factor[3];
  ColumnRun<T> run[3];

  GradientProduct& by(Factor next, T* gradient, index_t width) {
    factor[factors] = next;
    run[factors++] = {gradient, width};
    return *this;
  }
  // x, h' and 1: the sums with 1, the last ones, are those of dbias_hh as well.
  bool of_both_biases() const { return factors == 3; }
  index_t inputs() const {
    index_t sum = 0;
    for (int f = 0; f < factors; ++f) sum += run[f].columns;
    return sum;
  }
};

// h before a step, as the step saw it; h' where there is no mask.
template <class T>
RNNFAST_INLINE const T* hidden_before(const api::RecurrentBackward<T>& arguments, const Schedule<T>& schedule,
                                      index_t n, index_t step, const T* zeros) {
  const api::RecurrentCall<T>& call = arguments.call;
  const T* from = nullptr;
  if (schedule.cut_before(n, step)) {
    from = call.reset_state[0];
  } else if (step > 0) {
    return arguments.y.at(n, schedule.time(n, step - 1));
  } else if (call.state[0] != nullptr) {
    from = call.state[0] + n * call.dims.outputs();
  }
  return from == nullptr ? zeros : from;
}

template <class Cell, class T>
class GradientProducts {
 public:
  // joint: gates whose two products join in one sum have one product with x and h' side by side.
  // biases: those of gates are products with 1.
  GradientProducts(const api::RecurrentDims& dims, const api::RecurrentGradients<T>& gradients, bool joint,
                   bool biases) {
    const TapeRow<Cell, T> row(dims);
    const bool split = dims.layer_norm == api::LayerNorm::kSplit;
    const index_t inputs = dims.inputs, outputs = dims.outputs(), hidden = dims.hidden;
    const int together = joint && !split ? joined_gates() : 0;
    // From a gate on; null where only the sizes of the products are asked for.
    const auto from = [hidden](T* gradient, int gate, index_t width) {
      return gradient == nullptr ? nullptr : gradient + gate * hidden * width;
    };
    const auto by_inputs = [&](int gate, int end) -> GradientProduct<T>& {
      GradientProduct<T>& product = add(row.dsums + gate * hidden, (end - gate) * hidden);
      return product.by(Factor::kInputs, from(gradients.dweight_ih, gate, inputs), inputs);
    };
    const auto by_one = [&](GradientProduct<T>& product, T* dbias, int gate) {
      if (biases) product.by(Factor::kOne, from(dbias, gate, 1), 1);
    };
    if (together > 0) {
      GradientProduct<T>& product = by_inputs(0, together);
      product.by(Factor::kOperand, gradients.dweight_hh, outputs);
      by_one(product, gradients.dbias_ih, 0);
    }
    if (together < Cell::kGates) {
      GradientProduct<T>& product = by_inputs(together, Cell::kGates);
      by_one(product, gradients.dbias_ih, together);
    }
    for (int gate = together, end; gate < Cell::kGates; gate = end) {
      end = gate + 1;
      while (end < Cell::kGates && end != Cell::kGatedSums &&
             Cell::kHiddenSum[end] == Cell::kHiddenSum[end - 1] + 1)
        ++end;
      const bool gated = Cell::kGatedSums > 0 && gate >= Cell::kGatedSums;
      const index_t column = split ? row.second + gate * hidden : row.dsums + Cell::kHiddenSum[gate] * hidden;
      GradientProduct<T>& product = add(column, (end - gate) * hidden);
      product.by(gated ? Factor::kGated : Factor::kOperand, from(gradients.dweight_hh, gate, outputs),
                 outputs);
      by_one(product, gradients.dbias_hh, gate);
    }
    if (dims.projection > 0)
      add(row.dprojected, dims.projection).by(Factor::kUnprojected, gradients.dweight_hr, hidden);
  }

  const GradientProduct<T>* begin() const { return product_; }
  const GradientProduct<T>* end() const { return product_ + count_; }

  // Whether gradients of biases are sums over rows of the tape; behind split norms UnitGradients has them.
  static bool has_biases(const api::RecurrentDims& dims, const api::RecurrentGradients<T>& gradients) {
    return gradients.dbias_ih != nullptr && dims.layer_norm != api::LayerNorm::kSplit;
  }

  // Leading gates whose input and hidden products join in one sum, both times x and h'.
  static constexpr int joined_gates() {
    int gate = 0;
    const int most = Cell::kGatedSums > 0 ? Cell::kGatedSums : Cell::kGates;
    while (gate < most && Cell::kInputSum[gate] == gate && Cell::kHiddenSum[gate] == gate) ++gate;
    return gate;
  }

 private:
  GradientProduct<T>& add(index_t column, index_t outputs) {
    product_[count_] = {column, outputs, 0, {}, {}};
    return product_[count_++];
  }

  int count_ = 0;
  GradientProduct<T> product_[2 * Cell::kGates + 1];
};

}  // namespace rnnfast::RNNFAST_ISA
