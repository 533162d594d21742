// y = x W^T + b over rows, and its gradients.
#pragma once

#include "api/conventions.hpp"

namespace rnnfast::api {

template <class T>
struct LinearForward {
  index_t rows, inputs, outputs;
  int threads;
  const T* x;       // [rows, I]
  const T* weight;  // [O, I]
  const T* bias;    // [O] or null: no bias
  T* y;             // out: [rows, O]
  T* workspace;     // [forward_workspace(rows, inputs, outputs)]
};

template <class T>
struct LinearBackward {
  index_t rows, inputs, outputs;
  int threads;
  const T* x;       // [rows, I]
  const T* weight;  // [O, I]
  const T* dy;      // [rows, O]
  T* dx;            // out: [rows, I]
  T* dweight;       // out: [O, I]
  T* dbias;         // out: [O]; null: not wanted
  T* workspace;     // [backward_workspace(rows, inputs, outputs, threads)]
};

template <class T>
struct LinearKernels {
  index_t (*forward_workspace)(index_t rows, index_t inputs, index_t outputs);
  index_t (*backward_workspace)(index_t rows, index_t inputs, index_t outputs, int threads);
  void (*forward)(const LinearForward<T>&);
  void (*backward)(const LinearBackward<T>&);
};

}  // namespace rnnfast::api
