// Index type, inlining and loop macros shared by every floor. The only place that defines RNNFAST_* macros.
#pragma once

#include <cstddef>
#include <cstdint>

#define RNNFAST_INLINE inline __attribute__((always_inline))
#define RNNFAST_INLINE_BODY __attribute__((always_inline))  // of a lambda that must not become a function
// Register tiles are arrays with constant indices: every loop over them must be unrolled for them to stay in
// registers.
#if defined(__clang__)
#define RNNFAST_UNROLL _Pragma("clang loop unroll(full)")
#else
#define RNNFAST_UNROLL _Pragma("GCC unroll 64")
#endif

namespace rnnfast {

// All sizes and strides count elements and are signed, so that differences and negative strides are safe.
using index_t = std::ptrdiff_t;

constexpr RNNFAST_INLINE index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }
constexpr RNNFAST_INLINE index_t round_up(index_t a, index_t b) { return ceil_div(a, b) * b; }

}  // namespace rnnfast
