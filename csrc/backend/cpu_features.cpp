#include "backend/cpu_features.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace rnnfast::backend {

#if defined(__x86_64__)
namespace {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf) {
  Registers r;
  if (__get_cpuid_max(0, nullptr) >= leaf) __cpuid_count(leaf, 0, r.eax, r.ebx, r.ecx, r.edx);
  return r;
}

constexpr bool bit(unsigned value, int position) { return ((value >> position) & 1u) != 0; }

// XCR0: which register files the operating system saves. Bits 1 and 2: xmm, ymm; 5, 6, 7: masks and zmm.
bool saves(unsigned mask) {
  if (!bit(cpuid(1).ecx, 27)) return false;  // OSXSAVE
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & mask) == mask;
}

}  // namespace

bool supports_avx2() { return saves(0x06) && bit(cpuid(1).ecx, 12) && bit(cpuid(7).ebx, 5); }
bool supports_avx512() {
  const unsigned features = cpuid(7).ebx;
  return supports_avx2() && saves(0xE6) && bit(features, 16) && bit(features, 17) && bit(features, 30) &&
         bit(features, 31);
}
bool supports_neon() { return false; }
#else
bool supports_avx2() { return false; }
bool supports_avx512() { return false; }
#if defined(__aarch64__)
bool supports_neon() { return true; }
#else
bool supports_neon() { return false; }
#endif
#endif

}  // namespace rnnfast::backend
