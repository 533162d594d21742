// Gradients of the weights that act on single units: peepholes, the gains and shifts of layer norm, and the
// biases behind split norms. Their terms exist only while a step's row is at hand, so they are summed on the
// way: for every group of kGroupRows positions apart (one thread owns a group whole), steps descending and
// samples ascending; the groups are added in order at the end. The same sums for any number of threads.
#pragma once

#include "kernels/recurrent_layout.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
class UnitGradients {
  using V = Vec<T>;

 public:
  // Runs of H sums of a group, in this order: unit weights | split: gamma_ih, gamma_hh, gamma_c, beta_c,
  // sums; joint: gamma, beta.
  static constexpr int kNorm = Cell::kUnitWeights, kNormSecond = kNorm + Cell::kGates;
  static constexpr int kOutput = kNormSecond + Cell::kGates, kOutputShift = kOutput + 1;
  static constexpr int kBias = kOutputShift + 1;

  static index_t size(const api::RecurrentDims& dims) {
    return ceil_div(dims.batch, kGroupRows) * runs(dims) * padded<T>(dims.hidden);
  }

  UnitGradients(const api::RecurrentDims& dims, T* sums)
      : run_(padded<T>(dims.hidden)), group_(runs(dims) * run_), sums_(sums) {}

  RNNFAST_INLINE void add(index_t group, int run, index_t unit, V term) const {
    T* const at = sums_ + group * group_ + run * run_ + unit;
    (V::load(at) + term).store(at);
  }
  RNNFAST_INLINE void add_product(index_t group, int run, index_t unit, V a, V b) const {
    T* const at = sums_ + group * group_ + run * run_ + unit;
    fma(a, b, V::load(at)).store(at);
  }

  // All groups together, to where they belong.
  static void finish(const api::RecurrentDims& dims, const T* sums,
                     const api::RecurrentGradients<T>& gradients) {
    const api::UnitWeights<T>& to = gradients.unit;
    const auto total = [&](int run, int count, T* target) {
      for (int k = 0; target != nullptr && k < count; ++k) {
        for (index_t unit = 0; unit < dims.hidden; ++unit) {
          T sum = T(0);
          for (index_t group = 0; group < ceil_div(dims.batch, kGroupRows); ++group)
            sum += sums[(group * runs(dims) + run + k) * padded<T>(dims.hidden) + unit];
          give(gradients, sum, target[k * dims.hidden + unit]);
        }
      }
    };
    total(0, Cell::kUnitWeights, to.weight_ch);
    total(kNorm, Cell::kGates, to.gamma_ih);
    total(kNormSecond, Cell::kGates, to.gamma_hh);
    total(kNorm, Cell::kGates, to.gamma);
    total(kNormSecond, Cell::kGates, to.beta);
    total(kOutput, 1, to.gamma_c);
    total(kOutputShift, 1, to.beta_c);
    if (dims.layer_norm != api::LayerNorm::kSplit || gradients.dbias_ih == nullptr) return;
    for (int gate = 0; gate < Cell::kGates; ++gate) {
      total(kBias + Cell::kInputSum[gate], 1, gradients.dbias_ih + gate * dims.hidden);
      total(kBias + Cell::kHiddenSum[gate], 1, gradients.dbias_hh + gate * dims.hidden);
    }
  }

 private:
  static index_t runs(const api::RecurrentDims& dims) {
    return dims.layer_norm == api::LayerNorm::kNone ? kNorm : kBias + Cell::kSums;
  }

  const index_t run_, group_;
  T* const sums_;
};

}  // namespace rnnfast::RNNFAST_ISA
