// Rows of a table by number: y[r] = weight[index[r]], and the gradient of the table.
#pragma once

#include "api/conventions.hpp"

namespace rnnfast::api {

template <class T>
struct EmbeddingForward {
  index_t rows, count, features;
  int threads;
  const std::int64_t* index;  // [rows], each in 0 … count - 1
  const T* weight;            // [count, features]
  T* y;                       // out: [rows, features]
};

// Rows are added in ascending order, whatever the threads.
template <class T>
struct EmbeddingBackward {
  index_t rows, count, features;
  int threads;
  const std::int64_t* index;  // [rows], each in 0 … count - 1
  std::int64_t ignored;       // rows of this index have no gradient; -1: none
  const T* dy;                // [rows, features]
  T* dweight;                 // out: [count, features]
};

template <class T>
struct EmbeddingKernels {
  void (*forward)(const EmbeddingForward<T>&);
  void (*backward)(const EmbeddingBackward<T>&);
};

}  // namespace rnnfast::api
