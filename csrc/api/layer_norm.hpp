// Layer norm over the last axis (Ba, Kiros & Hinton 2016), with an activation in the same pass:
//   y = act(gamma (x - mean) rstd + beta),  rstd = 1 / sqrt(variance + 1e-5), variance biased
#pragma once

#include "api/activation.hpp"
#include "api/conventions.hpp"

namespace rnnfast::api {

template <class T>
struct LayerNormForward {
  index_t rows, features;
  Activation activation;
  int threads;
  const T* x;      // [rows, features]
  const T* gamma;  // [features]
  const T* beta;   // [features]
  T* y;            // out: [rows, features]
  T* moments;      // out: [rows, 2] mean and rstd; null: not wanted
};

template <class T>
struct LayerNormBackward {
  index_t rows, features;
  Activation activation;
  int threads;
  const T* x;        // [rows, features]
  const T* y;        // [rows, features] as forward wrote it; not read without activation
  const T* gamma;    // [features]
  const T* moments;  // [rows, 2] as forward wrote them
  const T* dy;       // [rows, features]
  T* dx;             // out: [rows, features]
  T* dgamma;         // out: [features]
  T* dbeta;          // out: [features]
  T* workspace;      // [backward_workspace(rows, features)]
};

template <class T>
struct LayerNormKernels {
  index_t (*backward_workspace)(index_t rows, index_t features);
  void (*forward)(const LayerNormForward<T>&);
  void (*backward)(const LayerNormBackward<T>&);
};

}  // namespace rnnfast::api
