// Conventions of the kernel interface; the structs of this folder, with their comments, are its
// specification.
//
// Axes: N batch, T steps, I inputs, H hidden units, G gates, S sums of a cell, O outputs.
// - Arrays are row-major with a contiguous last axis. Sequences [N, T, F] may have any strides in N and T,
// negative included:
//   batch-first, time-major and halves of a bidirectional output are all strides, never copies.
// - The caller owns all memory. Outputs are overwritten, accumulated into only where the comment says
// so, and must not overlap inputs.
// - A null pointer stands for an absent array only where the comment says so.
// - Sizes and strides count elements. Any size may be zero.
// - Kernels run on up to `threads` threads and give the same bits for any number of them.
#pragma once

#include "base/types.hpp"

namespace rnnfast::api {

// A view of [N, T, F].
template <class T>
struct Sequence {
  T* data = nullptr;
  index_t batch_stride = 0, time_stride = 0;

  RNNFAST_INLINE T* at(index_t n, index_t t) const { return data + n * batch_stride + t * time_stride; }
};

constexpr int kMostStates = 2;  // h, and c for the LSTM

}  // namespace rnnfast::api
