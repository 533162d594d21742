// GRU (Cho et al. 2014), reset gate after the product as in PyTorch and cuDNN. With p = W_ih x_t + b_ih, q =
// W_hh h_{t-1} + b_hh:
//   r, z = sigmoid(p + q),  n = tanh(p_n + r q_n),  h_t = (1 - z) n + z h_{t-1}
// r, z take one sum each; n needs its two products apart, so there are four sums: r, z, p_n, q_n.
#pragma once

#include "cells/cell.hpp"

namespace rnnfast::RNNFAST_ISA {

struct Gru {
  static constexpr const char* name = "gru";
  static constexpr int kGates = 3, kStates = 1, kSums = 4, kTape = 4;
  static constexpr const char* gates[kGates] = {"r", "z", "n"};
  static constexpr const char* states[kStates] = {"h"};
  static constexpr int kInputSum[kGates] = {0, 1, 2};
  static constexpr int kHiddenSum[kGates] = {0, 1, 3};

  template <class V>
  static RNNFAST_INLINE void forward(const V (&sum)[kSums], const V (&previous)[kStates], V (&next)[kStates],
                                     V (&tape)[kSums]) {
    const V r = sigmoid(sum[0]), z = sigmoid(sum[1]);
    const V n = tanh(fma(r, sum[3], sum[2]));
    next[0] = fma(z, previous[0] - n, n);
    tape[0] = r;
    tape[1] = z;
    tape[2] = n;
    tape[3] = sum[3];
  }

  template <class V>
  static RNNFAST_INLINE void backward(const V (&tape)[kSums], const V (&previous)[kStates],
                                      const V (&)[kStates], const V (&dnext)[kStates], V (&dsum)[kSums],
                                      V (&dprevious)[kStates]) {
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

}  // namespace rnnfast::RNNFAST_ISA
