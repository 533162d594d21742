// A stack of gated WaveNet layers (van den Oord et al. 2016) and its gradients. Layer l with dilation d:
//   f, g = W * x_l + V condition + b      causal convolution, filters then gates; V where condition is
//   z = tanh(f) sigmoid(g)
//   x_{l+1} = x_l + W_r z + b_r           not for the last layer, whose residual nobody would read
//   skip = sum over l of (W_s z + b_s)    one chain over all layers
// Steps before the first are those of `ring` or zeros.
#pragma once

#include "api/conventions.hpp"

namespace rnnfast::api {

struct WaveNetDims {
  index_t batch, steps;
  index_t channels, skip_channels;  // C, S
  index_t condition;                // Q features of the condition; 0: none
  index_t kernel, layers;           // K, L
  const index_t* dilations;         // [L]

  RNNFAST_INLINE index_t capacity(index_t layer) const { return (kernel - 1) * dilations[layer]; }
};

// The weights of one layer, or the places of their gradients.
template <class T>
struct WaveNetLayer {
  T* weight;            // [2C, C, K]
  T* bias;              // [2C]
  T* weight_condition;  // [2C, Q]; null where Q is 0
  T* weight_residual;   // [C, C]; null for the last layer
  T* bias_residual;     // [C]; null for the last layer
  T* weight_skip;       // [S, C]
  T* bias_skip;         // [S]
};

template <class T>
struct WaveNetPacking {
  WaveNetDims dims;
  const WaveNetLayer<const T>* layers;  // [L]
  T* packed;                            // out: [L * packed_size(dims)] of the pass it is packed for
};

template <class T>
struct WaveNetCall {
  WaveNetDims dims;
  int threads;
  Sequence<const T> x;          // [N, T, C]
  Sequence<const T> condition;  // [N, T, Q]; a time stride of 0 holds it over time
  const T* packed;              // packed for the pass
};

template <class T>
struct WaveNetForward {
  WaveNetCall<T> call;
  T* ring;  // in and out, one after the other for every layer: [N, capacity, C]; null: zeros before x
  std::int64_t position;  // steps before x, where there is a ring
  Sequence<T> skip;       // out: [N, T, S]
  T* inputs;              // out: [L - 1, N, T, C] x_l of every layer but the first; null together with gates
  T* gates;               // out: [L, N, T, 2C] tanh(f) and sigmoid(g); null: nothing is kept
  T* workspace;           // [forward_workspace(dims, threads)]
};

template <class T>
struct WaveNetBackward {
  WaveNetCall<T> call;
  const T* inputs;                   // as forward wrote them
  T* gates;                          // as forward wrote them; used up
  Sequence<const T> dskip;           // [N, T, S]
  Sequence<T> dx;                    // out: [N, T, C]
  Sequence<T> dcondition;            // out: [N, T, Q]; data null: not wanted
  const WaveNetLayer<T>* gradients;  // [L], out
  T* workspace;                      // [backward_workspace(dims, threads)]
};

template <class T>
struct WaveNetKernels {
  index_t (*forward_packed_size)(const WaveNetDims&);  // of one layer
  index_t (*backward_packed_size)(const WaveNetDims&);
  void (*pack_forward)(const WaveNetPacking<T>&);
  void (*pack_backward)(const WaveNetPacking<T>&);
  index_t (*forward_workspace)(const WaveNetDims&, int threads);
  index_t (*backward_workspace)(const WaveNetDims&, int threads);
  void (*forward)(const WaveNetForward<T>&);
  void (*backward)(const WaveNetBackward<T>&);
};

}  // namespace rnnfast::api
