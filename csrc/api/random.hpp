// Masks from a counter-based generator: Philox4x32-10 (Salmon et al. 2011). A mask element depends on its key
// and its index (n, t, unit) alone, so any split over threads, batches or time gives the same mask.
#pragma once

#include "api/conventions.hpp"

namespace rnnfast::api {

// What random numbers are for. u(n, t, unit) is made of word unit % 4 of the block with
//   key     (seed[0], seed[1])
//   counter (unit / 4 | stream << 20, t, n, call), all modulo 2^32
// as (word >> 8) * 2^-24, in [0, 1). unit < 2^22.
// Masks that are the same at all steps have t = 0; a mask of weights has n = 0, t = row and unit = column.
struct RandomKey {
  std::uint32_t seed[2];  // low and high half
  std::uint32_t call;     // number of the forward call, modulo 2^32
  std::uint32_t stream;   // layer << 4 | direction << 3 | purpose, 12 bits. Purposes: 0 output, 1 input,
                          // 2 recurrent, 3 weight, 4 zoneout of h, 5 zoneout of c
};

constexpr index_t kMostRandomUnits = index_t{1} << 22;

// mask[n, t, unit] = 0 where u(n, t, unit) < rate, else 1 / (1 - rate).
template <class T>
struct DropoutMask {
  index_t batch, steps, units;
  RandomKey key;
  double rate;  // in [0, 1)
  T* mask;      // out: [N, T, units]
};

template <class T>
struct RandomKernels {
  void (*dropout_mask)(const DropoutMask<T>&);
};

}  // namespace rnnfast::api
