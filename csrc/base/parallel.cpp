#include "base/parallel.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace rnnfast::parallel {
namespace {

// A worker that has just finished waits for so many rounds of spinning before it sleeps: layers of one model
// follow each other within microseconds, and waking a sleeping thread costs tens of them. Between rounds it
// offers its core, which the scheduler may have given to two threads of this pool while another is idle.
// Whoever waits for the last parts of a job does so after more spins, as a part may take that long.
constexpr int kRounds = 100, kSpinsPerRound = 40, kSpinsForParts = 1000;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether done() within so many spins.
template <class Done>
bool spin(int spins, Done&& done) {
  for (; spins > 0; --spins) {
    if (done()) return true;
    pause_briefly();
  }
  return false;
}

template <class Done>
void spin_until(Done&& done) {
  for (int spins = kSpinsForParts; !spin(spins, done); spins = kSpinsPerRound) std::this_thread::yield();
}

// Threads that take the parts of a job, the caller among them. Parts are claimed one by one, so that a worker
// that sleeps, or has no core, costs the others the time of its parts and not of its coming.
class Pool {
 public:
  // Where the system gives fewer threads than asked for, those it gave do all parts.
  explicit Pool(int threads) {
    for (int member = 1; member < threads; ++member) {
      try {
        workers_.emplace_back([this] { work(); });
      } catch (const std::system_error&) {
        break;
      }
    }
  }

  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      ticket_.fetch_add(kNextJob, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  void run(int parts, void (*task)(void*, int), void* context) {
    task_ = task;
    context_ = context;
    parts_ = parts;
    unfinished_.store(parts, std::memory_order_relaxed);
    {
      // The lock orders the new job before a worker's decision to sleep. All parts of the job before are
      // taken: the low half of the ticket is 0.
      std::lock_guard<std::mutex> lock(mutex_);
      ticket_.fetch_add(kNextJob + static_cast<std::uint64_t>(parts), std::memory_order_release);
    }
    if (sleeping_.load(std::memory_order_acquire) > 0) wake_.notify_all();
    do_parts();
    spin_until([&] { return unfinished_.load(std::memory_order_acquire) == 0; });
  }

 private:
  // Number of the job in the high half; in the low half how many of its parts nobody has taken yet.
  static constexpr std::uint64_t kNextJob = std::uint64_t{1} << 32;

  // A part can be taken only of the job that the ticket names, and keeps that job from ending: what the job
  // is stands still from here until the part is done.
  void do_parts() {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while (const int left = static_cast<int>(ticket & (kNextJob - 1))) {
      if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel)) continue;
      task_(context_, parts_ - left);
      unfinished_.fetch_sub(1, std::memory_order_release);
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  std::uint64_t job() const { return ticket_.load(std::memory_order_acquire) / kNextJob; }

  void work() {
    std::uint64_t seen = 0;
    for (;;) {
      const auto called = [&] { return job() != seen; };
      for (int round = 0; round < kRounds && !spin(kSpinsPerRound, called); ++round)
        std::this_thread::yield();
      if (!called()) {
        std::unique_lock<std::mutex> lock(mutex_);
        sleeping_.fetch_add(1, std::memory_order_acq_rel);
        wake_.wait(lock, called);
        sleeping_.fetch_sub(1, std::memory_order_acq_rel);
      }
      seen = job();
      if (stopping_) return;
      do_parts();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  alignas(64) std::atomic<int> unfinished_{0};
  std::atomic<int> sleeping_{0};
  void (*task_)(void*, int) = nullptr;
  void* context_ = nullptr;
  int parts_ = 0;
  std::atomic<bool> stopping_{false};  // a late worker may look at it while the pool ends
};

struct State {
  std::mutex mutex;
  Pool* pool = nullptr;
  int pool_size = 0;            // threads asked for
  std::atomic<int> threads{0};  // 0: not chosen yet
};

// Never destroyed: worker threads may outlive static destruction.
State& state() {
  static State* instance = new State;
  return *instance;
}

thread_local bool inside_part = false;

// Where other processes want the same cores, a barrier waits for threads that do not run. After a wait of a
// millisecond, more than parts differ by, the rest of the job spins a tenth of that, and so many jobs do
// without barriers: few, as one such wait may be chance.
constexpr int kBarrierSpins = 40000;
constexpr int kCrowdedJobs = 10;
std::atomic<int> crowded{0};

void before_fork() { state().mutex.lock(); }
void after_fork_in_parent() { state().mutex.unlock(); }
void after_fork_in_child() {
  // Only the forking thread exists here: the old pool's threads are gone and its destructor would wait for
  // them for ever.
  state().pool = nullptr;
  state().mutex.unlock();
}

int cgroup_cpus() {
  // cgroup v2: "<quota|max> <period>"; v1: two files. A quota of half a CPU still gets one thread.
  double quota = -1, period = -1;
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string first;
  if (v2 >> first >> period) {
    if (first == "max") return 0;
    quota = std::atof(first.c_str());
  } else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  if (quota <= 0 || period <= 0) return 0;
  return std::max(1, static_cast<int>(quota / period + 0.5));
}

}  // namespace

int available_cpus() {
  int count = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
  const int quota = cgroup_cpus();
  if (quota > 0) count = std::min(count, quota);
  return std::max(1, count);
}

int thread_count() {
  int threads = state().threads.load(std::memory_order_relaxed);
  if (threads == 0) {
    threads = available_cpus();
    state().threads.store(threads, std::memory_order_relaxed);
  }
  return threads;
}

void set_thread_count(int count) {
  const int threads = std::max(1, count);
  if (state().threads.exchange(threads, std::memory_order_relaxed) == threads) return;
  crowded.store(0, std::memory_order_relaxed);  // another number of threads, another chance
}

namespace {

int parts_for(int threads, double operations, double operations_per_thread, index_t shares) {
  const double by_work = std::min(operations / operations_per_thread, 1e6);
  return static_cast<int>(
      std::max<index_t>(1, std::min<index_t>({threads, shares, static_cast<index_t>(by_work)})));
}

// The pool, locked, with `parts` threads; null where this thread cannot have it now.
Pool* take_pool(State& shared, int parts) {
  if (inside_part || !shared.mutex.try_lock()) return nullptr;
  static const int registered = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  static_cast<void>(registered);
  if (shared.pool == nullptr || shared.pool_size < parts) {
    delete shared.pool;
    shared.pool = nullptr;
    shared.pool_size = std::max(parts, thread_count());
    shared.pool = new Pool(shared.pool_size);
  }
  return shared.pool;
}

void run_in(Pool& pool, State& shared, int parts, void (*task)(void*, int), void* context) {
  inside_part = true;
  pool.run(parts, task, context);
  inside_part = false;
  shared.mutex.unlock();
}

}  // namespace

int worthwhile_parts(int threads, double operations, index_t shares) {
  // Some 3 µs of one core at full rate, and five times that for the small layers that do so little at a time.
  return parts_for(threads, operations, 3e5, shares);
}

int worthwhile_parts_at_once(int threads, double operations, index_t shares) {
  if (threads > 1 && shares > 1 && crowded.load(std::memory_order_relaxed) > 0) {
    crowded.fetch_sub(1, std::memory_order_relaxed);
    return 1;
  }
  return parts_for(threads, operations, kOperationsAtOnce, shares);
}

void run(int parts, void (*task)(void*, int), void* context) {
  State& shared = state();
  if (Pool* const pool = parts > 1 ? take_pool(shared, parts) : nullptr; pool != nullptr) {
    return run_in(*pool, shared, parts, task, context);
  }
  for (int part = 0; part < parts; ++part) task(context, part);
}

bool run_at_once(int parts, void (*task)(void*, int), void* context) {
  State& shared = state();
  Pool* const pool = take_pool(shared, parts);
  if (pool == nullptr) return false;
  if (pool->threads() < parts) {
    shared.mutex.unlock();
    return false;
  }
  run_in(*pool, shared, parts, task, context);
  return true;
}

void Progress::reach(index_t step) { reached_.store(step, std::memory_order_release); }

void Progress::wait_for(index_t step) const {
  spin_until([&] { return reached_.load(std::memory_order_acquire) >= step; });
}

void Barrier::wait() {
  const unsigned round = round_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == parts_) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  const int patience = crowded.load(std::memory_order_relaxed) > 0 ? kBarrierSpins / 10 : kBarrierSpins;
  for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
    if (spins < patience) {
      pause_briefly();
    } else {
      crowded.store(kCrowdedJobs, std::memory_order_relaxed);
      std::this_thread::yield();  // the last one may be waiting for this core
    }
  }
}

}  // namespace rnnfast::parallel
