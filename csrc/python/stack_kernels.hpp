// The kernels of a layer's directions, which know nothing of each other.
#pragma once

#include <span>

#include "api/recurrent.hpp"
#include "base/parallel.hpp"
#include "python/array.hpp"

namespace rnnfast::python {

// On two threads they run at once, each on one of them: nothing is divided within a direction, and nobody
// waits before its end. What more threads would gain is not measured: there one direction follows the other.
template <class T, class Arguments>
class DirectionKernels {
 public:
  using Kernel = void (*)(const Arguments&);
  using Workspace = index_t (*)(const api::RecurrentDims&, int threads);

  // operations: of one direction. in_turn: they write to one place. Workspaces are scratch memory of the
  // calling thread.
  DirectionKernels(std::span<Arguments> directions, double operations, bool in_turn, Kernel kernel,
                   Workspace workspace)
      : directions_(directions),
        kernel_(kernel),
        at_once_(directions.size() == 2 && !in_turn && directions.front().call.threads == 2 &&
                 parallel::worthwhile_parts(2, 2 * operations, 2) == 2) {
    index_t most = 0;
    for (Arguments& own : directions) {
      if (at_once_) own.call.threads = 1;
      most = std::max(most, workspace(own.call.dims, own.call.threads));
    }
    const index_t apart = at_once_ ? most : 0;
    T* room = scratch<T>(most + apart);
    for (Arguments& own : directions) {
      own.workspace = room;
      room += apart;
    }
  }

  void run() const {
    const int count = static_cast<int>(directions_.size());
    auto run_one = [this](int direction) { kernel_(directions_[static_cast<std::size_t>(direction)]); };
    if (at_once_) return parallel::for_each_part(count, run_one);
    for (int direction = 0; direction < count; ++direction) run_one(direction);
  }

 private:
  const std::span<const Arguments> directions_;
  const Kernel kernel_;
  const bool at_once_;
};

}  // namespace rnnfast::python
