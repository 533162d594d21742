// GRU (Cho et al. 2014). With p = W_ih x_t + b_ih, q = W_hh h_{t-1} + b_hh:
//   r, z = sigmoid(p + q),  h_t = (1 - z) n + z h_{t-1}
// The reset gate acts after the product, as in PyTorch and cuDNN:  n = tanh(p_n + r q_n)
// or before it, as in the paper:                                   n = tanh(p_n + W_hn (r h_{t-1}) + b_hn)
#pragma once

#include "cells/cell.hpp"

namespace rnnfast::RNNFAST_ISA {

struct GruFacts {
  static constexpr int kGates = 3, kStates = 1;
  static constexpr int kUnitWeights = 0, kOutputState = 0;
  static constexpr bool kReadsPrevious = true;
  static constexpr const char* gates[kGates] = {"r", "z", "n"};
  static constexpr const char* states[kStates] = {"h"};
  static constexpr const char* unit_weights[] = {nullptr};
  static constexpr int kInputSum[kGates] = {0, 1, 2};
};

// r, z take one sum each; n needs its two products apart, so there are four sums: r, z, p_n, q_n.
struct Gru : GruFacts {
  static constexpr const char* name = "gru";
  static constexpr int kSums = 4, kTape = 4, kGatedSums = 0;
  static constexpr int kHiddenSum[kGates] = {0, 1, 3};

  template <class V>
  static RNNFAST_INLINE void state(const V (&sum)[kSums], const V (&previous)[kStates], const V (&)[1],
                                   V (&next)[kStates], V (&tape)[kSums]) {
    const V r = sigmoid(sum[0]), z = sigmoid(sum[1]);
    const V n = tanh(fma(r, sum[3], sum[2]));
    next[0] = fma(z, previous[0] - n, n);
    tape[0] = r;
    tape[1] = z;
    tape[2] = n;
    tape[3] = sum[3];
  }

  template <class V>
  static RNNFAST_INLINE void state_gradient(const V (&tape)[kSums], const V (&previous)[kStates],
                                            const V (&)[kStates], const V (&)[1], const V (&dnext)[kStates],
                                            V (&dsum)[kSums], V (&dprevious)[kStates], V (&)[1]) {
    const V one = V::broadcast(1);
    const V r = tape[0], z = tape[1], n = tape[2], q_n = tape[3];
    const V dh = dnext[0];
    const V dp_n = dh * (one - z) * (one - n * n);
    dsum[0] = dp_n * q_n * (r * (one - r));
    dsum[1] = dh * (previous[0] - n) * (z * (one - z));
    dsum[2] = dp_n;
    dsum[3] = dp_n * r;
    dprevious[0] = dh * z;
  }
};

// One sum per gate; that of n is complete only once r is known.
struct GruResetBefore : GruFacts {
  static constexpr const char* name = "gru_reset_before";
  static constexpr int kSums = 3, kTape = 3, kGatedSums = 2;
  static constexpr const auto& kHiddenSum = kInputSum;

  template <class V>
  static RNNFAST_INLINE V gate(V sum) {
    return sigmoid(sum);
  }

  // Here sum[0] is the gate r itself.
  template <class V>
  static RNNFAST_INLINE void state(const V (&sum)[kSums], const V (&previous)[kStates], const V (&)[1],
                                   V (&next)[kStates], V (&tape)[kSums]) {
    const V z = sigmoid(sum[1]), n = tanh(sum[2]);
    next[0] = fma(z, previous[0] - n, n);
    tape[0] = sum[0];
    tape[1] = z;
    tape[2] = n;
  }

  // The gradient of sum[0] follows once that of r h is known (gate_gradient).
  template <class V>
  static RNNFAST_INLINE void state_gradient(const V (&tape)[kSums], const V (&previous)[kStates],
                                            const V (&)[kStates], const V (&)[1], const V (&dnext)[kStates],
                                            V (&dsum)[kSums], V (&dprevious)[kStates], V (&)[1]) {
    const V one = V::broadcast(1);
    const V z = tape[1], n = tape[2], dh = dnext[0];
    dsum[0] = tape[0];
    dsum[1] = dh * (previous[0] - n) * (z * (one - z));
    dsum[2] = dh * (one - z) * (one - n * n);
    dprevious[0] = dh * z;
  }

  // operand: the h that the gate multiplied; doperand: gradient of the product of both on entry, of the
  // operand on return.
  template <class V>
  static RNNFAST_INLINE void gate_gradient(V r, V operand, V& doperand, V& dsum) {
    const V dgated = doperand;
    dsum = dgated * operand * (r * (V::broadcast(1) - r));
    doperand = dgated * r;
  }
};

}  // namespace rnnfast::RNNFAST_ISA
