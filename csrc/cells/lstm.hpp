// LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000). With a = W_ih x_t + b_ih + W_hh
// h_{t-1} + b_hh per gate:
//   i, f, o = sigmoid(a),  g = tanh(a),  c_t = f c_{t-1} + i g,  h_t = o tanh(c_t)
// Peephole (Gers & Schmidhuber 2000): w_i c_{t-1}, w_f c_{t-1} and w_o c_t are added before the sigmoids.
// Coupled gates (Greff et al. 2017): f = 1 - i, and gate f has no weights.
// c_t and tanh(c_t) are computed again in backward: cheaper than carrying them through memory.
#pragma once

#include "cells/cell.hpp"

namespace rnnfast::RNNFAST_ISA {

// The places of the gates; the formulas below are the same for both.
template <bool kCoupled>
struct LstmGates {
  static constexpr int kGates = 4;
  static constexpr const char* gates[kGates] = {"i", "f", "g", "o"};
  static constexpr const char* unit_weights[] = {"i", "f", "o"};
  static constexpr int kInputSum[kGates] = {0, 1, 2, 3};
  static constexpr int kI = 0, kF = 1, kG = 2, kO = 3, kPeepholeF = 1, kPeepholeO = 2;
};
template <>
struct LstmGates<true> {
  static constexpr int kGates = 3;
  static constexpr const char* gates[kGates] = {"i", "g", "o"};
  static constexpr const char* unit_weights[] = {"i", "o"};
  static constexpr int kInputSum[kGates] = {0, 1, 2};
  static constexpr int kI = 0, kF = -1, kG = 1, kO = 2, kPeepholeF = -1, kPeepholeO = 1;
};

template <bool kPeephole, bool kCoupled>
struct Lstm : LstmGates<kCoupled> {
  using Gates = LstmGates<kCoupled>;
  using Gates::kF, Gates::kG, Gates::kGates, Gates::kI, Gates::kO, Gates::kPeepholeF, Gates::kPeepholeO;
  static constexpr const char* name = kPeephole ? (kCoupled ? "lstm_peephole_coupled" : "lstm_peephole")
                                                : (kCoupled ? "lstm_coupled" : "lstm");
  static constexpr int kStates = 2, kSums = kGates, kTape = kGates;
  static constexpr int kUnitWeights = kPeephole ? kGates - 1 : 0, kOutputState = 1, kGatedSums = 0;
  static constexpr int kOutputSum = kO;
  static constexpr const char* states[kStates] = {"h", "c"};
  static constexpr const auto& kHiddenSum = Gates::kInputSum;
  static constexpr int kSlots = kUnitWeights > 0 ? kUnitWeights : 1;

  template <class V>
  static RNNFAST_INLINE void state(const V (&sum)[kSums], const V (&previous)[kStates],
                                   const V (&unit)[kSlots], V (&next)[kStates], V (&tape)[kSums]) {
    V a_i = sum[kI], a_o = sum[kO];
    if constexpr (kPeephole) a_i = fma(unit[0], previous[1], a_i);
    const V i = sigmoid(a_i), g = tanh(sum[kG]);
    V f = V::broadcast(1) - i;
    if constexpr (!kCoupled) {
      V a_f = sum[kF];
      if constexpr (kPeephole) a_f = fma(unit[kPeepholeF], previous[1], a_f);
      f = sigmoid(a_f);
      tape[kF] = f;
    }
    const V c = fma(f, previous[1], i * g);
    if constexpr (kPeephole) a_o = fma(unit[kPeepholeO], c, a_o);
    next[1] = c;
    tape[kI] = i;
    tape[kG] = g;
    tape[kO] = sigmoid(a_o);
  }

  template <class V>
  static RNNFAST_INLINE V output(const V (&tape)[kSums], V c) {
    return tape[kO] * tanh(c);
  }

  // The state again, from the tape.
  template <class V>
  static RNNFAST_INLINE V output_state(const V (&tape)[kSums], const V (&previous)[kStates]) {
    return fma(forget(tape), previous[1], tape[kI] * tape[kG]);
  }

  template <class V>
  static RNNFAST_INLINE void output_gradient(const V (&tape)[kSums], V c, V dh, V& dc, V (&dsum)[kSums]) {
    const V one = V::broadcast(1);
    const V o = tape[kO], tanh_c = tanh(c);
    dc = dh * o * (one - tanh_c * tanh_c);
    dsum[kO] = dh * tanh_c * (o * (one - o));
  }

  template <class V>
  static RNNFAST_INLINE void state_gradient(const V (&tape)[kSums], const V (&previous)[kStates],
                                            const V (&)[kStates], const V (&unit)[kSlots],
                                            const V (&dnext)[kStates], V (&dsum)[kSums],
                                            V (&dprevious)[kStates], V (&dunit)[kSlots]) {
    const V one = V::broadcast(1);
    const V i = tape[kI], f = forget(tape), g = tape[kG], c_previous = previous[1];
    V dc = dnext[1];
    if constexpr (kPeephole) {
      dc = fma(dsum[kO], unit[kPeepholeO], dc);
      dunit[kPeepholeO] = dsum[kO] * output_state(tape, previous);
    }
    V di = dc * g;
    if constexpr (kCoupled) di = di - dc * c_previous;
    dsum[kI] = di * (i * (one - i));
    dsum[kG] = dc * i * (one - g * g);
    dprevious[0] = V::zero();
    dprevious[1] = dc * f;
    if constexpr (kPeephole) {
      dprevious[1] = fma(dsum[kI], unit[0], dprevious[1]);
      dunit[0] = dsum[kI] * c_previous;
    }
    if constexpr (!kCoupled) {
      dsum[kF] = dc * c_previous * (f * (one - f));
      if constexpr (kPeephole) {
        dprevious[1] = fma(dsum[kF], unit[kPeepholeF], dprevious[1]);
        dunit[kPeepholeF] = dsum[kF] * c_previous;
      }
    }
  }

 private:
  template <class V>
  static RNNFAST_INLINE V forget(const V (&tape)[kSums]) {
    if constexpr (kCoupled) {
      return V::broadcast(1) - tape[kI];
    } else {
      return tape[kF];
    }
  }
};

}  // namespace rnnfast::RNNFAST_ISA
