// Vanilla RNN (Elman 1990): h_t = phi(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), phi = tanh or relu.
// Nothing is kept on the tape: both derivatives follow from h_t itself. (Where zoneout kept h_{t-1}, the
// driver gives h = 0 and dh = 0.)
#pragma once

#include "cells/cell.hpp"

namespace rnnfast::RNNFAST_ISA {

struct Tanh {
  static constexpr const char* kCellName = "rnn_tanh";
  template <class V>
  static RNNFAST_INLINE V apply(V x) {
    return tanh(x);
  }
  template <class V>
  static RNNFAST_INLINE V gradient(V h, V dh) {
    return dh * (V::broadcast(1) - h * h);
  }
};

struct Relu {
  static constexpr const char* kCellName = "rnn_relu";
  template <class V>
  static RNNFAST_INLINE V apply(V x) {
    return relu(x);
  }
  template <class V>
  static RNNFAST_INLINE V gradient(V h, V dh) {
    return where_positive(h, dh);
  }
};

template <class Activation>
struct VanillaRnn {
  static constexpr const char* name = Activation::kCellName;
  static constexpr int kGates = 1, kStates = 1, kSums = 1, kTape = 0;
  static constexpr int kUnitWeights = 0, kOutputState = 0, kGatedSums = 0;
  static constexpr bool kReadsPrevious = false;
  static constexpr const char* gates[kGates] = {"h"};
  static constexpr const char* states[kStates] = {"h"};
  static constexpr const char* unit_weights[] = {nullptr};
  static constexpr int kInputSum[kGates] = {0};
  static constexpr int kHiddenSum[kGates] = {0};

  template <class V>
  static RNNFAST_INLINE void state(const V (&sum)[kSums], const V (&)[kStates], const V (&)[1],
                                   V (&next)[kStates], V (&)[kSums]) {
    next[0] = Activation::apply(sum[0]);
  }

  template <class V>
  static RNNFAST_INLINE void state_gradient(const V (&)[kSums], const V (&)[kStates],
                                            const V (&next)[kStates], const V (&)[1],
                                            const V (&dnext)[kStates], V (&dsum)[kSums],
                                            V (&dprevious)[kStates], V (&)[1]) {
    dsum[0] = Activation::gradient(next[0], dnext[0]);
    dprevious[0] = V::zero();
  }
};

}  // namespace rnnfast::RNNFAST_ISA
