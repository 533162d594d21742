// Hands out consecutive, cache-line-aligned pieces of memory that the caller owns. Constructed without memory
// it only counts, so that one function both lays out a kernel's workspace and tells its size.
#pragma once

#include "base/types.hpp"

namespace rnnfast {

template <class T>
class Arena {
 public:
  explicit RNNFAST_INLINE Arena(T* memory = nullptr) : memory_(memory) {}

  RNNFAST_INLINE T* take(index_t count) {
    T* piece = memory_ == nullptr ? nullptr : memory_ + used_;
    used_ += round_up(count, kLine);
    return piece;
  }
  // Room for `count` indices or pointers.
  template <class U>
  RNNFAST_INLINE U* take_as(index_t count) {
    static_assert(alignof(U) <= 64);
    constexpr index_t kSize = sizeof(U), kElement = sizeof(T);
    return reinterpret_cast<U*>(take(ceil_div(count * kSize, kElement)));
  }
  RNNFAST_INLINE index_t used() const { return used_; }

 private:
  static constexpr index_t kLine = 64 / sizeof(T);  // elements per cache line
  T* memory_;
  index_t used_ = 0;
};

}  // namespace rnnfast
