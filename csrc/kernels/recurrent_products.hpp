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
  index_t inputs() const {
    index_t sum = 0;
    for (int f = 0; f < factors; ++f) sum += run[f].columns;
    return sum;
  }
};

template <class Cell, class T>
class GradientProducts {
 public:
  // joint: gates whose two products join in one sum have one product with x and h' side by side.
  // biases: they are products as well, but with split norms, where they are no sums over rows of the tape.
  GradientProducts(const api::RecurrentDims& dims, const api::RecurrentGradients<T>& gradients, bool joint,
                   bool biases)
      : dims_(dims), row_(dims) {
    const bool split = dims.layer_norm == api::LayerNorm::kSplit;
    const index_t inputs = dims.inputs, outputs = dims.outputs(), hidden = dims.hidden;
    const bool biased = biases && has_biases(dims, gradients);
    const int together = joint && !split ? joined_gates() : 0;
    const auto of_inputs = [&](int gate, int end) -> GradientProduct<T>& {
      GradientProduct<T>& product = add(row_.dsums + gate * hidden, (end - gate) * hidden);
      product.by(Factor::kInputs, gradients.dweight_ih + gate * hidden * inputs, inputs);
      return product;
    };
    const auto bias = [&](GradientProduct<T>& product, T* dbias, int gate) {
      if (biased) product.by(Factor::kOne, dbias + gate * hidden, 1);
    };
    if (together > 0) {
      GradientProduct<T>& product = of_inputs(0, together);
      bias(product.by(Factor::kOperand, gradients.dweight_hh, outputs), gradients.dbias_ih, 0);
    }
    if (together < Cell::kGates) bias(of_inputs(together, Cell::kGates), gradients.dbias_ih, together);
    for (int gate = together, end; gate < Cell::kGates; gate = end) {
      end = gate + 1;
      while (end < Cell::kGates && end != Cell::kGatedSums &&
             Cell::kHiddenSum[end] == Cell::kHiddenSum[end - 1] + 1)
        ++end;
      const bool gated = Cell::kGatedSums > 0 && gate >= Cell::kGatedSums;
      GradientProduct<T>& product =
          add(split ? row_.second + gate * hidden : row_.dsums + Cell::kHiddenSum[gate] * hidden,
              (end - gate) * hidden);
      product.by(gated ? Factor::kGated : Factor::kOperand, gradients.dweight_hh + gate * hidden * outputs,
                 outputs);
      bias(product, gradients.dbias_hh, gate);
    }
    if (dims.projection > 0) {
      add(row_.dprojected, dims.projection).by(Factor::kUnprojected, gradients.dweight_hr, hidden);
    }
  }

  const GradientProduct<T>* begin() const { return product_; }
  const GradientProduct<T>* end() const { return product_ + count_; }

  static bool has_biases(const api::RecurrentDims& dims, const api::RecurrentGradients<T>& gradients) {
    return gradients.dbias_ih != nullptr && dims.layer_norm != api::LayerNorm::kSplit;  // else UnitGradients
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

  const api::RecurrentDims& dims_;
  const TapeRow<Cell, T> row_;
  int count_ = 0;
  GradientProduct<T> product_[2 * Cell::kGates + 1];
};

}  // namespace rnnfast::RNNFAST_ISA
