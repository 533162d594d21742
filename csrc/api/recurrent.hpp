// One direction of one recurrent layer: packing of weights, forward, backward.
//
// Weights come as in PyTorch: weight_ih [G*H, I], weight_hh [G*H, H], bias_ih [G*H], bias_hh [G*H], gates in
// the cell's order. The packed forms are private to the variant that made them.
#pragma once

#include "api/conventions.hpp"

namespace rnnfast::api {

struct RecurrentDims {
  index_t batch, steps, inputs, hidden;
};

template <class T>
struct RecurrentWeights {
  index_t inputs, hidden;
  const T* weight_ih;  // [G*H, I]
  const T* weight_hh;  // [G*H, H]
  const T* bias_ih;    // [G*H] or null: no bias
  const T* bias_hh;    // [G*H] or null: no bias
  T* packed;           // out: [packed_size(inputs, hidden)] of the pass it is packed for
};

template <class T>
struct RecurrentForward {
  RecurrentDims dims;
  bool reverse;  // true: steps run from T-1 down to 0
  int threads;
  Sequence<const T> x;          // [N, T, I]
  const T* state[kMostStates];  // initial states [N, H]; null: zeros
  const T* packed;              // packed for forward
  Sequence<T> y;                // out: [N, T, H], h of every step
  T* final_state[kMostStates];  // out: states after the last step run [N, H]
  T* tape_gates;   // out: [T, N, tape_row(hidden)] kept for backward; null: inference, nothing is kept
  T* tape_states;  // out: [T, N, states-1, H] states but h after every step; null with tape_gates
  T* workspace;    // [forward_workspace(dims)]
};

template <class T>
struct RecurrentBackward {
  RecurrentDims dims;
  bool reverse;
  int threads;
  Sequence<const T> x;          // [N, T, I] as in forward
  Sequence<const T> y;          // [N, T, H] as forward wrote it
  const T* state[kMostStates];  // as in forward
  const T* packed;              // packed for backward
  T* tape_gates;                // in: as forward wrote it; out: overwritten by the gradients of the sums
  const T* tape_states;
  Sequence<const T> dy;                // [N, T, H]; data null: zeros
  const T* dfinal_state[kMostStates];  // [N, H]; null: zeros
  Sequence<T> dx;                      // out: [N, T, I]; data null: not wanted
  T* dstate[kMostStates];              // out: gradients of the initial states [N, H]
  T* dweight_ih;                       // out: [G*H, I]
  T* dweight_hh;                       // out: [G*H, H]
  T* dbias_ih;                         // out: [G*H]; null together with dbias_hh: not wanted
  T* dbias_hh;                         // out: [G*H]
  T* workspace;                        // [backward_workspace(dims, threads)]
};

// The kernels of one cell in one variant.
template <class T>
struct RecurrentKernels {
  index_t (*forward_packed_size)(index_t inputs, index_t hidden);
  index_t (*backward_packed_size)(index_t inputs, index_t hidden);
  void (*pack_forward)(const RecurrentWeights<T>&);
  void (*pack_backward)(const RecurrentWeights<T>&);
  index_t (*tape_row)(index_t hidden);
  index_t (*forward_workspace)(const RecurrentDims&);
  index_t (*backward_workspace)(const RecurrentDims&, int threads);
  void (*forward)(const RecurrentForward<T>&);
  void (*backward)(const RecurrentBackward<T>&);
};

}  // namespace rnnfast::api
