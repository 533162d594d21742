// Threads of the caller that add to the same gradients take turns: an addition of two at once would be lost.
//
// Turns are taken with all gradients of an addition at once and do not nest, so that no two threads wait for
// each other. Who waits for a turn has given up the interpreter, and who has a turn never waits for the
// interpreter: a thread that is stopped there keeps no other from its turn.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "python/array.hpp"

namespace rnnfast::python {

// The memory of some gradients.
class GradientSet {
 public:
  template <class T>
  void add(const T* gradient, index_t count) {
    if (count > 0) extents_.emplace_back(gradient, gradient + count);
  }
  void add(const GradientSet& other);
  bool meets(const GradientSet& other) const;

 private:
  std::vector<std::pair<const void*, const void*>> extents_;  // begin and end
};

// The gradients of several kernels.
struct JointGradients {
  GradientSet all;
  bool overlapping = false;  // two of the kernels add to one place

  void add(const GradientSet& own) {
    overlapping = overlapping || all.meets(own);
    all.add(own);
  }
};

// While it lives no other thread has a turn with any of the memory, and Python is out of reach: the
// interpreter, which the caller holds, is released for many operations or for a wait, and taken back last.
class GradientTurn {
 public:
  GradientTurn(const GradientSet& gradients, double operations);
  GradientTurn(GradientSet&&, double) = delete;  // the set is looked at by others meanwhile
  ~GradientTurn();
  GradientTurn(const GradientTurn&) = delete;
  GradientTurn& operator=(const GradientTurn&) = delete;

 private:
  std::optional<py::gil_scoped_release> released_;
  const GradientSet& gradients_;
};

}  // namespace rnnfast::python
