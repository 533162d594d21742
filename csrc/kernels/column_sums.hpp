// Sums of columns over many rows: gradients of biases and of whatever else is added to every row.
#pragma once

#include "kernels/product.hpp"

namespace rnnfast::RNNFAST_ISA {

// Columns begin … end - 1: target[c] = sum over k of row k [c], k ascending.
template <class T>
void own_column_sums(parallel::Range columns, index_t depth, const Rows<const T>& rows, T* target,
                     Sums sums) {
  using V = Vec<T>;
  constexpr int kTogether = 8;  // enough chains to hide the latency of addition
  const index_t all = ceil_div(columns.end - columns.begin, V::kLanes);
  for_each_tile<kTogether>(0, all, [&](auto vectors, index_t first_vector) {
    constexpr int kVectors = decltype(vectors)::value;
    const index_t first = columns.begin + first_vector * V::kLanes, left = columns.end - first;
    const index_t of_last = left - (kVectors - 1) * V::kLanes;
    V sum[kVectors];
    RNNFAST_UNROLL
    for (int c = 0; c < kVectors; ++c)
      sum[c] = sums == kFresh ? V::zero() : load_up_to(target + first + c * V::kLanes, left - c * V::kLanes);
    for (index_t k = 0; k < depth; ++k) {
      const T* row = rows.at(k) + first;
      RNNFAST_UNROLL
      for (int c = 0; c + 1 < kVectors; ++c) sum[c] = sum[c] + V::load(row + c * V::kLanes);
      sum[kVectors - 1] = sum[kVectors - 1] + load_up_to(row + (kVectors - 1) * V::kLanes, of_last);
    }
    RNNFAST_UNROLL
    for (int c = 0; c < kVectors; ++c)
      store_up_to(sum[c], target + first + c * V::kLanes, left - c * V::kLanes);
  });
}

// Of all columns, which threads share.
template <class T>
void column_sums(int threads, index_t columns, index_t depth, const Rows<const T>& rows, T* target,
                 Sums sums) {
  // A value that comes from L2 or L3 takes as long as some operations.
  const double operations = 4.0 * static_cast<double>(columns) * static_cast<double>(depth);
  const int parts = parallel::worthwhile_parts(threads, operations, ceil_div(columns, kDenseWidth<T>));
  parallel::for_each_part(parts, [&](int part) {
    const FlushDenormals flush;
    own_column_sums<T>(parallel::share(columns, parts, part, kDenseWidth<T>), depth, rows, target, sums);
  });
}

}  // namespace rnnfast::RNNFAST_ISA
