// The kernels of a stack, and which of them run at the same time.
#pragma once

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "api/recurrent.hpp"
#include "base/parallel.hpp"
#include "python/array.hpp"

namespace rnnfast::python {

enum class StackOrder {
  kInTurn,  // one after the other, each on all threads
  kAtOnce,  // each on one thread: they know nothing of each other
  kInWave,  // each on one thread, as far as the one before it has come (api::Wave)
};

// Both directions of a layer at once, each of so many operations: on two threads nothing is divided within a
// direction then, and nobody waits before its end. What more threads would gain is not measured.
inline StackOrder order_of_directions(std::size_t count, int threads, double operations) {
  const bool at_once = count == 2 && threads == 2 && parallel::worthwhile_parts(2, 2 * operations, 2) == 2;
  return at_once ? StackOrder::kAtOnce : StackOrder::kInTurn;
}

// Whether layers of one direction run in a wave: where in turn one thread would scan a layer alone, or nearly
// so (backward its products over all rows would use the others). of_row: operations of the widest layer, one
// step of one sample; all: of all layers. On two threads layers go before units, unless one core holds half
// of a layer's weights better than all of them (csrc/README.md). What options keep from sharing units is not
// looked at.
inline bool suits_wave(index_t batch, int threads, double of_row, double all) {
  constexpr double kShared = 2 * parallel::kOperationsAtOnce;  // of a step, from where on threads share units
  if (threads < 2 || parallel::worthwhile_parts(2, all, 2) < 2) return false;
  if (batch > api::kGroupRows)
    return threads == 2 && 3 * batch < 4 * api::kGroupRows;  // a second one has few
  return (threads > 2 ? of_row * static_cast<double>(batch) : of_row) < kShared;
}

template <class T, class Arguments>
class StackKernels {
 public:
  using Kernel = void (*)(const Arguments&);
  using Workspace = index_t (*)(const api::RecurrentDims&, int threads);

  // kernels: in the order in which they follow each other. Workspaces are scratch memory of the calling
  // thread.
  StackKernels(std::vector<Arguments*> kernels, StackOrder order, Kernel kernel, Workspace workspace)
      : kernels_(std::move(kernels)),
        kernel_(kernel),
        threads_(order == StackOrder::kInTurn ? 1 : kernels_.front()->call.threads),
        progress_(order == StackOrder::kInWave ? kernels_.size() : 0) {
    index_t most = 0;
    for (std::size_t k = 0; k < kernels_.size(); ++k) {
      Arguments& own = *kernels_[k];
      if (order != StackOrder::kInTurn) own.call.threads = 1;
      if (order == StackOrder::kInWave) {
        own.call.dims.in_wave = true;
        own.wave = {k > 0 ? &progress_[k - 1] : nullptr, k + 1 < kernels_.size() ? &progress_[k] : nullptr};
      }
      most = std::max(most, workspace(own.call.dims, own.call.threads));
    }
    const index_t apart = order == StackOrder::kInTurn ? 0 : most;
    T* room = scratch<T>(most + apart * static_cast<index_t>(kernels_.size() - 1));
    for (Arguments* own : kernels_) {
      own->workspace = room;
      room += apart;
    }
  }

  // Kernels are taken one by one in their order: one that is waited for is done or under way.
  void run() {
    const int count = static_cast<int>(kernels_.size());
    std::atomic<int> next{0};
    parallel::for_each_part(std::min(threads_, count), [&](int) {
      for (int k; (k = next.fetch_add(1)) < count;) kernel_(*kernels_[static_cast<std::size_t>(k)]);
    });
  }

 private:
  const std::vector<Arguments*> kernels_;
  const Kernel kernel_;
  const int threads_;
  std::vector<parallel::Progress> progress_;
};

}  // namespace rnnfast::python
