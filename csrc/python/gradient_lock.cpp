#include "python/gradient_lock.hpp"

#include <pthread.h>
#include <pybind11/pybind11.h>

#include <condition_variable>
#include <mutex>
#include <optional>

namespace rnnfast::python {
namespace {

struct Turns {
  std::mutex mutex;
  std::condition_variable given_back;
  std::uint64_t taken = 0;  // kinds of gradients
};

Turns* turns = new Turns;
// Who had a turn as a process forked is not there in the child.
const int registered = pthread_atfork(nullptr, nullptr, [] { turns = new Turns; });

}  // namespace

GradientLock::GradientLock(const GradientSet& gradients) : kinds_(gradients.kinds()) {
  std::unique_lock lock(turns->mutex);
  const auto is_free = [&] { return (turns->taken & kinds_) == 0; };
  std::optional<pybind11::gil_scoped_release> released;
  if (!is_free() && PyGILState_Check() != 0) {
    lock.unlock();
    released.emplace();
    lock.lock();
  }
  turns->given_back.wait(lock, is_free);
  turns->taken |= kinds_;
  lock.unlock();  // before the interpreter is waited for
}

GradientLock::~GradientLock() {
  {
    const std::lock_guard lock(turns->mutex);
    turns->taken &= ~kinds_;
  }
  turns->given_back.notify_all();
}

}  // namespace rnnfast::python
