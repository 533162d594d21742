// Where the values lie that a cell acts on. Two vectors in step (math/pair.hpp): the same units of two rows,
// two vectors of units of one row, or the last few units of several rows, each in a part of a vector; or a
// vector alone. Rows are given by tables of pointers, as the blocks of a step have them.
#pragma once

#include "kernels/recurrent_layout.hpp"

namespace rnnfast::RNNFAST_ISA {

// Units from `unit` on of rows r and r + 1 (kRows = 1), or two vectors of them of row r (kRows = 0). kWhole:
// all of them are there.
template <class T, int kRows, bool kWhole = false>
class VectorPlaces {
  using V = Vec<T>;
  using W = Pair<T>;

 public:
  using Value = W;

  RNNFAST_INLINE VectorPlaces(index_t r, index_t unit, index_t hidden)
      : r_(r),
        r_too_(r + kRows),
        unit_(unit),
        unit_too_(kRows == 0 ? unit + V::kLanes : unit),
        left_(hidden - unit),
        left_too_(hidden - unit_too_) {}

  static RNNFAST_INLINE W load_sums(const T* sums, index_t apart) { return W::load(sums, sums + apart); }
  template <class Rows>
  RNNFAST_INLINE bool given(const Rows& rows) const {
    return rows[r_] != nullptr;
  }
  template <class Rows>
  RNNFAST_INLINE W load(const Rows& rows) const {
    return W::load(rows[r_] + unit_, rows[r_too_] + unit_too_);
  }
  template <class Rows>
  RNNFAST_INLINE W load_up_to(const Rows& rows, index_t run = 0) const {
    const T *const from = rows[r_] + run + unit_, *const from_too = rows[r_too_] + run + unit_too_;
    if constexpr (kWhole) return W::load(from, from_too);
    return {RNNFAST_ISA::load_up_to(from, left_), RNNFAST_ISA::load_up_to(from_too, left_too_)};
  }
  // Whole vectors: behind the units of a row of state there is room.
  template <class Rows>
  RNNFAST_INLINE void store(W value, const Rows& rows) const {
    value.store(rows[r_] + unit_, rows[r_too_] + unit_too_);
  }
  template <class Rows>
  RNNFAST_INLINE void store_up_to(W value, const Rows& rows, index_t run = 0) const {
    if constexpr (kWhole) return value.store(rows[r_] + run + unit_, rows[r_too_] + run + unit_too_);
    RNNFAST_ISA::store_up_to(value, rows[r_] + run + unit_, left_, rows[r_too_] + run + unit_too_, left_too_);
  }
  // Onto the tape. The next cache line of the run is fetched for the next panel: the rows come from memory
  // and lie too far apart for the hardware to foresee.
  template <class Rows>
  RNNFAST_INLINE void keep(W value, const Rows& rows, index_t run) const {
    __builtin_prefetch(rows[r_] + run + unit_ + kRowPadding<T>, 1, 2);
    __builtin_prefetch(rows[r_too_] + run + unit_too_ + kRowPadding<T>, 1, 2);
    store_up_to(value, rows, run);
  }

 private:
  const index_t r_, r_too_, unit_, unit_too_, left_, left_too_;
};

// Units from `unit` on of one row, in a single vector.
template <class T>
class SinglePlace {
  using V = Vec<T>;

 public:
  using Value = V;

  RNNFAST_INLINE SinglePlace(index_t r, index_t unit, index_t hidden)
      : r_(r), unit_(unit), left_(hidden - unit) {}

  template <class Rows>
  RNNFAST_INLINE bool given(const Rows& rows) const {
    return rows[r_] != nullptr;
  }
  template <class Rows>
  RNNFAST_INLINE V load(const Rows& rows) const {
    return V::load(rows[r_] + unit_);
  }
  template <class Rows>
  RNNFAST_INLINE void store(V value, const Rows& rows) const {
    value.store(rows[r_] + unit_);
  }
  template <class Rows>
  RNNFAST_INLINE void store_up_to(V value, const Rows& rows, index_t run = 0) const {
    RNNFAST_ISA::store_up_to(value, rows[r_] + run + unit_, left_);
  }
  template <class Rows>
  RNNFAST_INLINE void keep(V value, const Rows& rows, index_t run) const {
    store_up_to(value, rows, run);
  }

 private:
  const index_t r_, unit_, left_;
};

// Units unit … hidden - 1 of 2 kParts rows from r on.
template <class T, int kParts>
class PartPlaces {
  using V = Vec<T>;
  using W = Pair<T>;
  static constexpr index_t kPart = V::kLanes / kParts;

 public:
  using Value = W;
  static constexpr index_t kRows = 2 * kParts;

  RNNFAST_INLINE PartPlaces(index_t r, index_t unit, index_t hidden)
      : r_(r), unit_(unit), left_(hidden - unit) {}

  static RNNFAST_INLINE W load_sums(const T* sums, index_t apart) {
    return gather([&](int part) { return sums + part * apart; }, kPart);
  }
  template <class Rows>
  RNNFAST_INLINE bool given(const Rows& rows) const {
    return rows[r_] != nullptr;
  }
  template <class Rows>
  RNNFAST_INLINE W load(const Rows& rows) const {
    return gather([&](int part) { return rows[r_ + part] + unit_; }, kPart);
  }
  template <class Rows>
  RNNFAST_INLINE W load_up_to(const Rows& rows, index_t run = 0) const {
    return gather([&](int part) { return rows[r_ + part] + run + unit_; }, left_);
  }
  template <class Rows>
  RNNFAST_INLINE void store(W value, const Rows& rows) const {
    scatter(value, rows, 0, kPart);
  }
  template <class Rows>
  RNNFAST_INLINE void store_up_to(W value, const Rows& rows, index_t run = 0) const {
    scatter(value, rows, run, left_);
  }
  template <class Rows>
  RNNFAST_INLINE void keep(W value, const Rows& rows, index_t run) const {
    scatter(value, rows, run, left_);
  }

 private:
  template <class At>
  static RNNFAST_INLINE W gather(At&& at, index_t count) {
    const T* from[kRows];
    RNNFAST_UNROLL
    for (int part = 0; part < static_cast<int>(kRows); ++part) from[part] = at(part);
    return {load_parts<kParts>(from, count), load_parts<kParts>(from + kParts, count)};
  }
  template <class Rows>
  RNNFAST_INLINE void scatter(W value, const Rows& rows, index_t run, index_t count) const {
    T* to[kRows];
    RNNFAST_UNROLL
    for (int part = 0; part < static_cast<int>(kRows); ++part) to[part] = rows[r_ + part] + run + unit_;
    store_parts<kParts>(value.a, to, count);
    store_parts<kParts>(value.b, to + kParts, count);
  }

  const index_t r_, unit_, left_;
};

}  // namespace rnnfast::RNNFAST_ISA
