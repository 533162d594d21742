// Which instruction set this translation unit is compiled for: the files of cpu/ are compiled once per set,
// with its flags and RNNFAST_ISA_<NAME> defined, and everything in math/, cells/ and kernels/ lives in a
// namespace named after it, so that the linker can never fold an AVX body into the baseline.
#pragma once

#if defined(RNNFAST_ISA_SCALAR)
#define RNNFAST_ISA scalar
#elif defined(RNNFAST_ISA_AVX2)
#define RNNFAST_ISA avx2
#elif defined(RNNFAST_ISA_AVX512)
#define RNNFAST_ISA avx512
#elif defined(RNNFAST_ISA_NEON)
#define RNNFAST_ISA neon
#else
#error "compile this file through those of cpu/ with RNNFAST_ISA_<NAME> defined"
#endif
