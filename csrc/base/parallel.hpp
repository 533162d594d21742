// The only file, with parallel.cpp, that starts threads: a pool of std::thread that runs numbered parts of
// one job. (Threads of the caller meet in python/gradient_turn.hpp.)
//
// Parts are contiguous shares of outputs, never of a sum, so the number of threads cannot change a bit of any
// result. The pool starts at the first job that needs it, counts only the CPUs this process may use (affinity
// mask and cgroup quota), survives fork() (the child starts a pool of its own), and serves one job at a time:
// a job that arrives while another runs, or from inside a part, is run by its caller alone.
#pragma once

#include <atomic>
#include <type_traits>

#include "base/types.hpp"

namespace rnnfast::parallel {

int available_cpus();
int thread_count();
void set_thread_count(int count);

// Runs task(context, part) for part = 0 … parts-1 and returns when all are done. Parts must not throw.
void run(int parts, void (*task)(void* context, int part), void* context);

template <class Task>
RNNFAST_INLINE void for_each_part(int parts, Task&& task) {
  using Body = std::remove_reference_t<Task>;
  run(
      parts, [](void* context, int part) { (*static_cast<Body*>(context))(part); }, &task);
}

// As `run`, but only where all parts run side by side and may wait for each other; else false, and nothing
// has been run.
bool run_at_once(int parts, void (*task)(void* context, int part), void* context);

template <class Task>
RNNFAST_INLINE bool for_each_part_at_once(int parts, Task&& task) {
  using Body = std::remove_reference_t<Task>;
  return run_at_once(
      parts, [](void* context, int part) { (*static_cast<Body*>(context))(part); }, &task);
}

// Where the parts of a job that run side by side wait for the last of them, some microseconds apart.
class Barrier {
 public:
  explicit Barrier(int parts) : parts_(parts) {}
  void wait();

 private:
  const int parts_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> round_{0};
};

// How far work has come that other work of the same job reads. Who waits must have been taken later: then
// what it waits for is done or under way, however many threads there are.
class Progress {
 public:
  void reach(index_t step);
  void wait_for(index_t step) const;

 private:
  alignas(64) std::atomic<index_t> reached_{0};
};

struct Range {
  index_t begin, end;
};

// The share of `count` outputs that belongs to one part; shares start at multiples of `grain`.
RNNFAST_INLINE Range share(index_t count, int parts, int part, index_t grain) {
  const index_t grains = ceil_div(count, grain);
  const index_t begin = grains * part / parts * grain;
  const index_t end = grains * (part + 1) / parts * grain;
  return {begin < count ? begin : count, end < count ? end : count};
}

// How many parts a job of `operations` floating point operations deserves: handing work over costs some
// microseconds.
int worthwhile_parts(int threads, double operations, index_t shares);

// The same where the parts meet at a barrier after every `operations`: some 2 µs for each, of which a barrier
// costs a tenth.
constexpr double kOperationsAtOnce = 1e5;
int worthwhile_parts_at_once(int threads, double operations, index_t shares);

}  // namespace rnnfast::parallel
