// Arrays of the conformance program: the same values on any machine, and digests of bits.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/types.hpp"

namespace {

using namespace rnnfast;

// Exact in both dtypes on any machine: integers over a power of two, from a linear congruential generator.
template <class T>
std::vector<T> values(index_t count, std::uint64_t seed, double scale) {
  std::vector<T> result(static_cast<std::size_t>(count) + 1);
  for (T& value : result) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<T>((static_cast<double>(seed >> 44) / (1 << 20) - 0.5) * scale);
  }
  return result;
}

template <class T>
void print(const std::string& name, const std::vector<T>& array, index_t count) {
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(array.data());
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (std::size_t b = 0; b < static_cast<std::size_t>(count) * sizeof(T); ++b)
    hash = (hash ^ bytes[b]) * 1099511628211u;
  std::printf("%s %s %016llx\n", name.c_str(), sizeof(T) == 4 ? "float32" : "float64",
              static_cast<unsigned long long>(hash));
}

template <class T>
std::vector<T> zeros(index_t count) {
  return std::vector<T>(static_cast<std::size_t>(count) + 16);
}

}  // namespace
