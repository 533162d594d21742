// LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000). With a = W_ih x_t + b_ih + W_hh
// h_{t-1} + b_hh per gate:
//   i, f, o = sigmoid(a),  g = tanh(a),  c_t = f c_{t-1} + i g,  h_t = o tanh(c_t)
// tanh(c_t) is computed again in backward: cheaper than carrying it through memory.
#pragma once

#include "cells/cell.hpp"

namespace rnnfast::RNNFAST_ISA {

struct Lstm {
  static constexpr const char* name = "lstm";
  static constexpr int kGates = 4, kStates = 2, kSums = 4, kTape = 4;
  static constexpr const char* gates[kGates] = {"i", "f", "g", "o"};
  static constexpr const char* states[kStates] = {"h", "c"};
  static constexpr int kInputSum[kGates] = {0, 1, 2, 3};
  static constexpr int kHiddenSum[kGates] = {0, 1, 2, 3};

  template <class V>
  static RNNFAST_INLINE void forward(const V (&sum)[kSums], const V (&previous)[kStates], V (&next)[kStates],
                                     V (&tape)[kSums]) {
    const V i = sigmoid(sum[0]), f = sigmoid(sum[1]), g = tanh(sum[2]), o = sigmoid(sum[3]);
    const V c = fma(f, previous[1], i * g);
    next[0] = o * tanh(c);
    next[1] = c;
    tape[0] = i;
    tape[1] = f;
    tape[2] = g;
    tape[3] = o;
  }

  template <class V>
  static RNNFAST_INLINE void backward(const V (&tape)[kSums], const V (&previous)[kStates],
                                      const V (&next)[kStates], const V (&dnext)[kStates], V (&dsum)[kSums],
                                      V (&dprevious)[kStates]) {
    const V one = V::broadcast(1);
    const V i = tape[0], f = tape[1], g = tape[2], o = tape[3];
    const V tanh_c = tanh(next[1]);
    const V dh = dnext[0];
    const V dc = fma(dh * o, one - tanh_c * tanh_c, dnext[1]);
    dsum[0] = dc * g * (i * (one - i));
    dsum[1] = dc * previous[1] * (f * (one - f));
    dsum[2] = dc * i * (one - g * g);
    dsum[3] = dh * tanh_c * (o * (one - o));
    dprevious[0] = V::zero();
    dprevious[1] = dc * f;
  }
};

}  // namespace rnnfast::RNNFAST_ISA
