// Masks from a counter-based generator: Philox4x32-10 (Salmon et al. 2011). A mask element depends on its key
// and its index (n, t, unit) alone, so any split over threads, batches or time gives the same mask.
#pragma once

#include "api/conventions.hpp"

namespace rnnfast::api {

// mask[n, t, unit] = 0 with probability `rate`, else 1 / (1 - rate): word unit % 4 of the block with counter
// (unit / 4, t, n, 0) drops the element where (word >> 8) * 2^-24 < rate.
template <class T>
struct DropoutMask {
  index_t batch, steps, units;
  std::uint32_t key[2];
  double rate;
  T* mask;  // out: [N, T, units]
};

template <class T>
struct RandomKernels {
  void (*dropout_mask)(const DropoutMask<T>&);
};

}  // namespace rnnfast::api
