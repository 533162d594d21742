// Flushes denormal numbers to zero while a kernel runs on a thread, and restores the thread's mode
// afterwards: denormals can slow arithmetic twentyfold, yet a library must not change the mode for the rest
// of the process. Inlined by force: a copy compiled with AVX encodings must never be shared with the
// baseline.
#pragma once

#include "base/types.hpp"
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace rnnfast {

class FlushDenormals {
 public:
  RNNFAST_INLINE FlushDenormals() : saved_(read()) { write(saved_ | kFlush); }
  RNNFAST_INLINE ~FlushDenormals() {
    asm volatile("" ::: "memory");
    write(saved_);
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__x86_64__)
  using Mode = unsigned;
  static constexpr Mode kFlush = 0x8040;  // MXCSR: flush to zero (bit 15), denormals are zero (bit 6)
  static RNNFAST_INLINE Mode read() { return _mm_getcsr(); }
  static RNNFAST_INLINE void write(Mode mode) {
    _mm_setcsr(mode);
    asm volatile(
        "" ::
            : "memory");  // loads and stores, and with them the arithmetic between, stay on their side
  }
#elif defined(__aarch64__)
  using Mode = std::uint64_t;
  static constexpr Mode kFlush = Mode{1} << 24;  // FPCR.FZ
  static RNNFAST_INLINE Mode read() {
    Mode mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static RNNFAST_INLINE void write(Mode mode) { asm volatile("msr fpcr, %0" : : "r"(mode) : "memory"); }
#else
  using Mode = unsigned;
  static constexpr Mode kFlush = 0;
  static RNNFAST_INLINE Mode read() { return 0; }
  static RNNFAST_INLINE void write(Mode) {}
#endif
  Mode saved_;
};

}  // namespace rnnfast
