// Which samples run at which step, at what time, and where their rows lie.
//
// Step s of a sample is time s, or in the reverse direction length - 1 - s: every sample begins at step 0 and
// leaves when its length is reached. Samples are numbered by *position*, longest first (equal lengths keep
// their order), so that those still running are the first ones: nobody has to sort, and the work is that of
// the real steps. Rows of the tape, and of the sums over all rows, run from the last step to the first,
// positions ascending.
#pragma once

#include "api/recurrent.hpp"
#include "base/arena.hpp"
#include "base/parallel.hpp"
#include "math/isa.hpp"

namespace rnnfast::RNNFAST_ISA {

using api::kGroupRows;

// The positions of one thread: those of every apart-th group from `first` on.
struct OwnPositions {
  index_t first, end, apart;  // groups

  RNNFAST_INLINE index_t at(index_t own) const {
    if (apart == 1) return first * kGroupRows + own;  // without a division, which small layers feel
    return (first + own / kGroupRows * apart) * kGroupRows + own % kGroupRows;
  }
  // How many of the positions below `count` are its own.
  RNNFAST_INLINE index_t below(index_t count) const {
    const index_t group = count / kGroupRows;  // the one that `count` cuts
    if (group < first) return 0;
    if (apart == 1) return (group < end ? count : end * kGroupRows) - first * kGroupRows;
    const index_t before = (group - first + apart - 1) / apart * kGroupRows;
    return (group - first) % apart == 0 ? before + count % kGroupRows : before;
  }
};

template <class T>
class Schedule {
 public:
  struct Memory {
    index_t *order, *active, *first_row;
  };
  static RNNFAST_INLINE Memory lay_out(const api::RecurrentDims& dims, Arena<T>& arena) {
    Memory memory{};
    memory.order = arena.template take_as<index_t>(dims.batch);
    memory.active = arena.template take_as<index_t>(dims.steps + 1);
    memory.first_row = arena.template take_as<index_t>(dims.steps + 1);
    return memory;
  }

  Schedule(const api::RecurrentCall<T>& call, const Memory& memory) : call_(call), memory_(memory) {
    const index_t batch = call.dims.batch, steps = call.dims.steps;
    index_t* const active = memory.active;
    for (index_t step = 0; step <= steps; ++step) active[step] = 0;
    for (index_t n = 0; n < batch; ++n) ++active[length(n)];
    // Now active[l] counts the samples of length l; the first position of length l is the number of longer
    // ones.
    index_t longer = 0;
    for (index_t l = steps; l >= 0; --l) {
      const index_t count = active[l];
      memory.first_row[l] = longer;
      longer += count;
    }
    for (index_t n = 0; n < batch; ++n) memory.order[memory.first_row[length(n)]++] = n;
    // first_row[l] has become the number of samples of length l or more; step s runs those longer than s.
    for (index_t step = 0; step < steps; ++step) active[step] = memory.first_row[step + 1];
    active[steps] = 0;
    memory.first_row[steps] = 0;
    for (index_t step = steps - 1; step >= 0; --step)
      memory.first_row[step] = memory.first_row[step + 1] + active[step + 1];
  }

  // Positions 0 … active(step) - 1 run at `step`; before the first step all samples are there.
  RNNFAST_INLINE index_t active(index_t step) const {
    return step < 0 ? call_.dims.batch : memory_.active[step];
  }
  RNNFAST_INLINE index_t sample(index_t position) const { return memory_.order[position]; }
  RNNFAST_INLINE index_t length(index_t n) const {
    return call_.lengths == nullptr ? call_.dims.steps : static_cast<index_t>(call_.lengths[n]);
  }
  RNNFAST_INLINE index_t time(index_t n, index_t step) const {
    return call_.reverse ? length(n) - 1 - step : step;
  }
  // Whether the state is replaced before the step: a cut lies between two times, whichever way they run.
  RNNFAST_INLINE bool cut_before(index_t n, index_t step) const {
    if (call_.resets.data == nullptr) return false;
    const index_t t = call_.reverse ? length(n) - step : step;
    return t < length(n) && *call_.resets.at(n, t);
  }

  // What belongs to one of several threads: groups that lie together where all samples are equally long, as
  // hardware fetches rows ahead that are neighbours; else some of all lengths.
  RNNFAST_INLINE OwnPositions own(int part, int parts) const {
    const index_t groups = ceil_div(call_.dims.batch, kGroupRows);
    if (call_.lengths != nullptr) return {part, groups, parts};
    const parallel::Range share = parallel::share(groups, parts, part, 1);
    return {share.begin, share.end, 1};
  }

  // Number of a row among those of all steps, and how many rows steps begin … end - 1 have.
  RNNFAST_INLINE index_t row(index_t step, index_t position) const {
    return memory_.first_row[step] + position;
  }
  RNNFAST_INLINE index_t rows(index_t begin, index_t end) const {
    return begin < end ? row(begin, active(begin)) - row(end - 1, 0) : 0;
  }

 private:
  const api::RecurrentCall<T>& call_;
  const Memory memory_;
};

// What one thread does of a scan: some samples, all of their units, and it never waits; or, where there are
// fewer groups of samples than threads, some units of all samples, and it meets the others after every step.
struct ScanShare {
  int part, parts;
  OwnPositions positions;
  parallel::Barrier* barrier;  // null: by samples

  // Of `count` units, or panels of them, those that are its own.
  RNNFAST_INLINE parallel::Range units(index_t count, index_t grain) const {
    return barrier == nullptr ? parallel::Range{0, count} : parallel::share(count, parts, part, grain);
  }
  // Whether it does what is done once per sample.
  RNNFAST_INLINE bool first() const { return barrier == nullptr || part == 0; }
  RNNFAST_INLINE void meet() const {
    if (barrier != nullptr) barrier->wait();
  }
};

// body(share) on every thread that a scan of `steps` steps and so many operations deserves. unit_shares:
// parts that the units may be divided into, 0 where they may not.
template <class T, class Body>
RNNFAST_INLINE void for_each_share(const Schedule<T>& schedule, int threads, double operations, index_t steps,
                                   index_t unit_shares, Body&& body) {
  const OwnPositions all = schedule.own(0, 1);
  const int parts = parallel::worthwhile_parts(threads, operations, all.end);
  const double step = steps > 0 ? operations / static_cast<double>(steps) : 0;
  const int at_once = parallel::worthwhile_parts_at_once(threads, step, unit_shares);
  // Half as many threads again, at least: by samples nobody waits.
  if (2 * at_once > 3 * parts) {
    parallel::Barrier barrier(at_once);
    auto of_part = [&](int part) { body(ScanShare{part, at_once, all, &barrier}); };
    if (parallel::for_each_part_at_once(at_once, of_part)) return;
  }
  parallel::for_each_part(parts, [&](int part) {
    body(ScanShare{part, parts, schedule.own(part, parts), nullptr});
  });
}

}  // namespace rnnfast::RNNFAST_ISA
