// Threads of the caller that add to the same gradients take turns: an addition of two at once would be lost.
#pragma once

#include <cstdint>

namespace rnnfast::python {

// A set of gradients by the places where they begin: 64 kinds, so that a turn with any number of gradients is
// taken at once, and no two threads wait for each other.
class GradientSet {
 public:
  void add(const void* gradient) {
    kinds_ |= std::uint64_t{1} << reinterpret_cast<std::uintptr_t>(gradient) / 64 % 64;
  }
  std::uint64_t kinds() const { return kinds_; }

 private:
  std::uint64_t kinds_ = 0;
};

// While it lives no other thread has a turn with one of these gradients. Who has to wait gives up the
// interpreter meanwhile.
class GradientLock {
 public:
  explicit GradientLock(const GradientSet& gradients);
  ~GradientLock();
  GradientLock(const GradientLock&) = delete;
  GradientLock& operator=(const GradientLock&) = delete;

 private:
  const std::uint64_t kinds_;
};

}  // namespace rnnfast::python
