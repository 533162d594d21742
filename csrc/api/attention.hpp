// The parts of attention that other layers lack: one product per sample, and softmax over keys.
#pragma once

#include "api/conventions.hpp"

namespace rnnfast::api {

// c[n] = a[n] b[n], a[n] b[n]^T or a[n]^T b[n]; sums run over `depth` in ascending order.
enum class Transposed { kNone, kLeft, kRight };

template <class T>
struct BatchedProduct {
  index_t batch, rows, columns, depth;
  Transposed transposed;
  int threads;
  const T* a;    // [N, rows, depth]; kLeft: [N, depth, rows]
  const T* b;    // [N, depth, columns]; kRight: [N, columns, depth]
  T* c;          // out: [N, rows, columns]
  T* workspace;  // [product_workspace(columns, depth, threads)]
};

// p = exp(s - max) / sum over the first lengths[n] keys; 0 for the others, and everywhere if there are none.
template <class T>
struct SoftmaxForward {
  index_t batch, rows, keys;
  const T* scores;              // [N, rows, keys]
  const std::int64_t* lengths;  // [N], each in 0 … keys; null: all keys
  T* probabilities;             // out: [N, rows, keys]
};

// ds = p (dp - sum of dp p)
template <class T>
struct SoftmaxBackward {
  index_t rows, keys;
  const T* probabilities;   // [rows, keys]
  const T* dprobabilities;  // [rows, keys]
  T* dscores;               // out: [rows, keys]
};

template <class T>
struct AttentionKernels {
  index_t (*product_workspace)(index_t columns, index_t depth, int threads);
  void (*product)(const BatchedProduct<T>&);
  void (*softmax_forward)(const SoftmaxForward<T>&);
  void (*softmax_backward)(const SoftmaxBackward<T>&);
};

}  // namespace rnnfast::api
