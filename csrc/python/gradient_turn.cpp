#include "python/gradient_turn.hpp"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>

namespace rnnfast::python {
namespace {

struct Turns {
  std::mutex mutex;
  std::condition_variable given_back;
  std::vector<const GradientSet*> taken;
};

// Never destroyed: threads may outlive the module. In a child of a fork there are new ones, as who had a turn
// is not there to give it back.
Turns* turns = new Turns;

void register_fork() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { turns = new Turns; });
  static_cast<void>(registered);
}

}  // namespace

void GradientSet::add(const GradientSet& other) {
  extents_.insert(extents_.end(), other.extents_.begin(), other.extents_.end());
}

bool GradientSet::meets(const GradientSet& other) const {
  const std::less<const void*> before;  // of places in different arrays
  return std::any_of(extents_.begin(), extents_.end(), [&](const auto& own) {
    return std::any_of(other.extents_.begin(), other.extents_.end(), [&](const auto& its) {
      return before(own.first, its.second) && before(its.first, own.second);
    });
  });
}

GradientTurn::GradientTurn(const GradientSet& gradients, double operations) : gradients_(gradients) {
  register_fork();
  if (operations > kOperationsToRelease) released_.emplace();
  std::unique_lock lock(turns->mutex);
  const auto is_free = [&] {
    return std::none_of(turns->taken.begin(), turns->taken.end(),
                        [&](const GradientSet* other) { return gradients.meets(*other); });
  };
  if (!released_ && !is_free()) {
    lock.unlock();
    released_.emplace();
    lock.lock();
  }
  turns->given_back.wait(lock, is_free);
  turns->taken.push_back(&gradients_);
}

GradientTurn::~GradientTurn() {
  {
    const std::lock_guard lock(turns->mutex);
    turns->taken.erase(std::find(turns->taken.begin(), turns->taken.end(), &gradients_));
  }
  turns->given_back.notify_all();
}

}  // namespace rnnfast::python
