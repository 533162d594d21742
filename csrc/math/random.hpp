// Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"): four
// 32-bit words from a 128-bit counter and a 64-bit key, in ten rounds of integer multiplication. No state:
// any element can be made anywhere.
//
// Blocks are made several at once, one per 64-bit lane: a lane is as wide as a product of two words, and the
// half that a word leaves over may hold anything, as a product reads the low half alone.
#pragma once

#include "math/vec.hpp"

namespace rnnfast::RNNFAST_ISA {

#if defined(RNNFAST_ISA_SCALAR)
constexpr int kPhiloxBlocks = 1;
using Wide = std::uint64_t;
#else
constexpr int kPhiloxBlocks = kVectorBytes / 8;
typedef std::uint64_t Wide __attribute__((vector_size(kVectorBytes)));
#endif

// product_of_words(a, word): the product of the low half of each lane and a word.
// even_lanes(a, b) = a[0] b[0] a[2] b[2] …, odd_lanes(a, b) = a[1] b[1] a[3] b[3] …
#if defined(RNNFAST_ISA_SCALAR)
RNNFAST_INLINE Wide product_of_words(Wide a, std::uint32_t word) { return (a & 0xFFFFFFFF) * word; }
#elif defined(RNNFAST_ISA_AVX2)
RNNFAST_INLINE Wide product_of_words(Wide a, std::uint32_t word) {
  return Wide(_mm256_mul_epu32(__m256i(a), _mm256_set1_epi64x(word)));
}
RNNFAST_INLINE Wide even_lanes(Wide a, Wide b) { return Wide(_mm256_unpacklo_epi64(__m256i(a), __m256i(b))); }
RNNFAST_INLINE Wide odd_lanes(Wide a, Wide b) { return Wide(_mm256_unpackhi_epi64(__m256i(a), __m256i(b))); }
#elif defined(RNNFAST_ISA_AVX512)
// The zero-masking forms with all lanes on, as in vec.hpp.
RNNFAST_INLINE Wide product_of_words(Wide a, std::uint32_t word) {
  return Wide(_mm512_maskz_mul_epu32(static_cast<__mmask8>(-1), __m512i(a), _mm512_set1_epi64(word)));
}
RNNFAST_INLINE Wide even_lanes(Wide a, Wide b) {
  return Wide(_mm512_maskz_unpacklo_epi64(static_cast<__mmask8>(-1), __m512i(a), __m512i(b)));
}
RNNFAST_INLINE Wide odd_lanes(Wide a, Wide b) {
  return Wide(_mm512_maskz_unpackhi_epi64(static_cast<__mmask8>(-1), __m512i(a), __m512i(b)));
}
#elif defined(RNNFAST_ISA_NEON)
RNNFAST_INLINE Wide product_of_words(Wide a, std::uint32_t word) {
  return Wide(vmull_u32(vmovn_u64(uint64x2_t(a)), vdup_n_u32(word)));
}
RNNFAST_INLINE Wide even_lanes(Wide a, Wide b) { return Wide(vzip1q_u64(uint64x2_t(a), uint64x2_t(b))); }
RNNFAST_INLINE Wide odd_lanes(Wide a, Wide b) { return Wide(vzip2q_u64(uint64x2_t(a), uint64x2_t(b))); }
#endif

constexpr int kPhiloxRounds = 10;

// The keys of all rounds, spread over the lanes.
struct PhiloxKeys {
  Wide round[kPhiloxRounds][2];

  RNNFAST_INLINE PhiloxKeys(std::uint32_t key0, std::uint32_t key1) {
    RNNFAST_UNROLL
    for (Wide* key : round) {
      key[0] = Wide{} + key0;
      key[1] = Wide{} + key1;
      key0 += 0x9E3779B9;  // golden ratio
      key1 += 0xBB67AE85;  // sqrt(3) - 1
    }
  }
};

// to[4 * i + j] = word j of the block with counter (first + i, counter1, counter2, counter3), for the
// kPhiloxBlocks numbers i.
RNNFAST_INLINE void philox(std::uint32_t first, std::uint32_t counter1, std::uint32_t counter2,
                           std::uint32_t counter3, const PhiloxKeys& keys, std::uint32_t* to) {
  // In the order in which even_lanes and odd_lanes leave the blocks one after the other.
  std::uint64_t block[kPhiloxBlocks];
  for (int lane = 0; lane < kPhiloxBlocks; ++lane)
    block[lane] = static_cast<std::uint64_t>(lane % 2 * (kPhiloxBlocks / 2) + lane / 2);
  Wide a;
  std::memcpy(&a, block, sizeof a);
  a += first;
  Wide b = Wide{} + counter1, c = Wide{} + counter2, d = Wide{} + counter3;
  RNNFAST_UNROLL
  for (const Wide* key : keys.round) {
    const Wide of_a = product_of_words(a, 0xD2511F53), of_c = product_of_words(c, 0xCD9E8D57);
    a = (of_c >> 32) ^ b ^ key[0];
    b = of_c;
    c = (of_a >> 32) ^ d ^ key[1];
    d = of_a;
  }
#if defined(RNNFAST_ISA_SCALAR)
  const Wide words[] = {a, b, c, d};
  for (int word = 0; word < 4; ++word) to[word] = static_cast<std::uint32_t>(words[word]);
#else
  const Wide ab = (a & 0xFFFFFFFF) | b << 32, cd = (c & 0xFFFFFFFF) | d << 32;
  const Wide halves[] = {even_lanes(ab, cd), odd_lanes(ab, cd)};
  std::memcpy(to, halves, sizeof halves);
#endif
}

// value[lane] where (words[lane] >> 8) < bound, else other[lane]; bound <= 2^24.
template <class T>
RNNFAST_INLINE Vec<T> where_word_less(const std::uint32_t* words, std::int32_t bound, Vec<T> value,
                                      Vec<T> other) {
  using Bits = typename Vec<T>::Bits;
#if defined(RNNFAST_ISA_SCALAR)
  const Bits word = static_cast<Bits>(*words >> 8);
#else
  typedef std::uint32_t Words __attribute__((vector_size(Vec<T>::kLanes * 4)));
  Words loaded;
  std::memcpy(&loaded, words, sizeof loaded);
  const Bits word = __builtin_convertvector(loaded >> 8, Bits);
#endif
  return {word < Bits{} + bound ? value.native : other.native};
}

}  // namespace rnnfast::RNNFAST_ISA
