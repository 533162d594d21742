// What this CPU and operating system can run, from CPUID and XGETBV.
#pragma once

namespace rnnfast::backend {

bool supports_avx2();    // AVX2 and FMA, with the operating system saving ymm registers
bool supports_avx512();  // AVX-512 F, BW, DQ, VL, with the operating system saving zmm and mask registers
bool supports_neon();    // every aarch64 CPU

}  // namespace rnnfast::backend
