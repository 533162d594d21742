// Masks of dropout and zoneout: see api/random.hpp for the mapping from (n, t, unit) to random words.
#pragma once

#include "api/random.hpp"
#include "math/random.hpp"

namespace rnnfast::RNNFAST_ISA {

// to[unit] = below where u(unit) < rate, else otherwise, for units 0 … units - 1 of sample n at time t.
template <class T>
void random_row(const api::RandomKey& key, index_t n, index_t t, index_t units, double rate, T below,
                T otherwise, T* to) {
  // (word >> 8) * 2^-24 < rate in integers: word >> 8 < ceil(rate * 2^24), with nothing to round.
  std::int32_t bound = static_cast<std::int32_t>(rate * 0x1p24);
  bound += bound < rate * 0x1p24;
  const Vec<T> value = Vec<T>::broadcast(below), other = Vec<T>::broadcast(otherwise);
  const PhiloxKeys keys(key.seed[0], key.seed[1]);
  constexpr index_t kUnits = 4 * kPhiloxBlocks;
  alignas(64) std::uint32_t words[kUnits];
  for (index_t unit = 0; unit < units; unit += kUnits) {
    philox(static_cast<std::uint32_t>(unit / 4) + (key.stream << 20), static_cast<std::uint32_t>(t),
           static_cast<std::uint32_t>(n), key.call, keys, words);
    for (index_t lane = 0; lane < kUnits && unit + lane < units; lane += Vec<T>::kLanes) {
      store_up_to(where_word_less(words + lane, bound, value, other), to + unit + lane, units - unit - lane);
    }
  }
}

template <class T>
void dropout_mask(const api::DropoutMask<T>& arguments) {
  const auto [batch, steps, units, key, rate, mask] = arguments;
  const T kept = static_cast<T>(1.0 / (1.0 - rate));
  for (index_t n = 0; n < batch; ++n) {
    for (index_t t = 0; t < steps; ++t) {
      random_row(key, n, t, units, rate, T(0), kept, mask + (n * steps + t) * units);
    }
  }
}

}  // namespace rnnfast::RNNFAST_ISA
