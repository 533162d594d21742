// Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"): four
// 32-bit words from a 128-bit counter and a 64-bit key, in ten rounds of integer multiplication. No state:
// any element can be made anywhere.
#pragma once

#include "base/types.hpp"
#include "math/isa.hpp"

namespace rnnfast::RNNFAST_ISA {

struct PhiloxBlock {
  std::uint32_t word[4];
};

RNNFAST_INLINE PhiloxBlock philox(PhiloxBlock counter, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter.word[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * counter.word[2];
    counter = {{static_cast<std::uint32_t>(b >> 32) ^ counter.word[1] ^ key0, static_cast<std::uint32_t>(b),
                static_cast<std::uint32_t>(a >> 32) ^ counter.word[3] ^ key1, static_cast<std::uint32_t>(a)}};
    key0 += 0x9E3779B9;  // golden ratio
    key1 += 0xBB67AE85;  // sqrt(3) - 1
  }
  return counter;
}

}  // namespace rnnfast::RNNFAST_ISA
