// Convolution over time (van den Oord et al. 2016), and its gradients:
//   y[n, j, o] = act(b[o] + sum over k and c of W[o, c, k] x[n, s j + k d + first, c])
// with kernel size K, dilation d and stride s. "Causal" is s = 1, first = -(K - 1) d and as many steps out as
// in; "valid" is first = 0. Rows before x are those of `history` or, without one, zeros; none lies behind x.
#pragma once

#include "api/activation.hpp"
#include "api/conventions.hpp"

namespace rnnfast::api {

struct Conv1dDims {
  index_t batch, inputs, outputs;  // N, C, O
  index_t kernel, dilation, stride;
  index_t steps_in, steps_out;
  index_t first;  // the step of x that tap 0 of output 0 reads
  Activation activation;
};

// The inputs of the (K - 1) d steps before a block, for a sequence that comes in blocks.
template <class T>
struct History {
  T* ring;           // [N, capacity, C]; null: zeros before x
  index_t capacity;  // (K - 1) d
  index_t position;  // the row that x[n, 0] will take: steps before it modulo the capacity
};

template <class T>
struct Conv1dWeights {
  index_t inputs, outputs, kernel;
  const T* weight;  // [O, C, K]
  const T* bias;    // [O] or null: no bias
  T* packed;        // out: [packed_size(inputs, outputs, kernel)] of the pass it is packed for
};

template <class T>
struct Conv1dForward {
  Conv1dDims dims;
  int threads;
  Sequence<const T> x;  // [N, steps_in, C]
  History<T> history;   // in, and out: the block's last rows take the places of the oldest
  const T* packed;      // packed for forward
  Sequence<T> y;        // out: [N, steps_out, O]
  T* workspace;         // [forward_workspace(dims, threads)]
};

template <class T>
struct Conv1dBackward {
  Conv1dDims dims;
  int threads;
  Sequence<const T> x;   // [N, steps_in, C]
  Sequence<const T> y;   // [N, steps_out, O] as forward wrote it; not read without activation
  Sequence<const T> dy;  // [N, steps_out, O]
  const T* packed;       // packed for backward
  Sequence<T> dx;        // out: [N, steps_in, C]; data null: not wanted
  T* dweight;            // out: [O, C, K]
  T* dbias;              // out: [O]; null: not wanted
  T* workspace;          // [backward_workspace(dims, threads)]
};

template <class T>
struct Conv1dKernels {
  index_t (*forward_packed_size)(index_t inputs, index_t outputs, index_t kernel);
  index_t (*backward_packed_size)(index_t inputs, index_t outputs, index_t kernel);
  void (*pack_forward)(const Conv1dWeights<T>&);
  void (*pack_backward)(const Conv1dWeights<T>&);
  index_t (*forward_workspace)(const Conv1dDims&, int threads);
  index_t (*backward_workspace)(const Conv1dDims&, int threads);
  void (*forward)(const Conv1dForward<T>&);
  void (*backward)(const Conv1dBackward<T>&);
};

}  // namespace rnnfast::api
