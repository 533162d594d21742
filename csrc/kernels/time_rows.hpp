// Where the rows are that a convolution reads: step t of sample n in the block at hand, in the ring of a
// stream's earlier steps, or a row of zeros outside of both.
#pragma once

#include <cstring>

#include "api/conv1d.hpp"
#include "base/arena.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
struct TimeRows {
  api::Sequence<const T> block;  // [N, steps, features]
  index_t steps, features;
  const T* zeros;  // [features]
  const T* ring;   // [N, capacity, features]; null: none
  index_t capacity, position;

  RNNFAST_INLINE const T* at(index_t n, index_t t) const {
    if (t >= 0) return t < steps ? block.at(n, t) : zeros;
    if (ring == nullptr || t < -capacity) return zeros;
    index_t slot = position + t;
    if (slot < 0) slot += capacity;
    return ring + (n * capacity + slot) * features;
  }
};

// The last rows of a block take the places of the oldest in the ring.
template <class T>
void remember(const api::Sequence<const T>& block, index_t batch, index_t steps, index_t features,
              const api::History<T>& history) {
  const index_t kept = steps < history.capacity ? steps : history.capacity;
  for (index_t n = 0; n < batch; ++n) {
    for (index_t t = steps - kept; t < steps; ++t) {
      T* const to =
          history.ring + (n * history.capacity + (history.position + t) % history.capacity) * features;
      std::memcpy(to, block.at(n, t), static_cast<std::size_t>(features) * sizeof(T));
    }
  }
}

// Walks over rows (n, t) of [N, steps] from row `first` on.
class RowWalk {
 public:
  RNNFAST_INLINE RowWalk(index_t first, index_t steps)
      : steps_(steps), n(steps > 0 ? first / steps : 0), t(steps > 0 ? first % steps : 0) {}
  RNNFAST_INLINE void next() {
    if (++t == steps_) {
      t = 0;
      ++n;
    }
  }

 private:
  index_t steps_;

 public:
  index_t n, t;
};

}  // namespace rnnfast::RNNFAST_ISA
