// Embedding: rows are copied forward and added backward, in the order in which they come. Threads share rows
// forward and columns backward, so that no sum is split.
#pragma once

#include <cstring>

#include "api/embedding.hpp"
#include "base/denormals.hpp"
#include "base/parallel.hpp"
#include "math/vec.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
struct EmbeddingPass {
  using V = Vec<T>;

  static int parts_of(const auto& arguments, index_t shares) {
    // An element moved costs about as much as ten operations.
    return parallel::worthwhile_parts(
        arguments.threads,
        10.0 * static_cast<double>(arguments.rows) * static_cast<double>(arguments.features), shares);
  }

  static void forward(const api::EmbeddingForward<T>& arguments) {
    const index_t features = arguments.features;
    if (features == 0) return;
    const int parts = parts_of(arguments, arguments.rows);
    parallel::for_each_part(parts, [&](int part) {
      const parallel::Range own = parallel::share(arguments.rows, parts, part, 1);
      for (index_t r = own.begin; r < own.end; ++r)
        std::memcpy(arguments.y + r * features, arguments.weight + arguments.index[r] * features,
                    static_cast<std::size_t>(features) * sizeof(T));
    });
  }

  static void backward(const api::EmbeddingBackward<T>& arguments) {
    const index_t features = arguments.features;
    constexpr index_t kGrain = 64 / sizeof(T);  // a cache line
    const int parts = parts_of(arguments, ceil_div(features, kGrain));
    parallel::for_each_part(parts, [&](int part) {
      const FlushDenormals flush;
      const parallel::Range own = parallel::share(features, parts, part, kGrain);
      const index_t columns = own.end - own.begin;
      if (columns == 0) return;
      for (index_t row = 0; row < arguments.count; ++row)
        std::memset(arguments.dweight + row * features + own.begin, 0,
                    static_cast<std::size_t>(columns) * sizeof(T));
      for (index_t r = 0; r < arguments.rows; ++r) {
        if (arguments.index[r] == arguments.ignored) continue;
        T* const to = arguments.dweight + arguments.index[r] * features + own.begin;
        const T* const from = arguments.dy + r * features + own.begin;
        for (index_t c = 0; c < columns; c += V::kLanes) {
          const index_t left = columns - c;
          store_up_to(load_up_to(to + c, left) + load_up_to(from + c, left), to + c, left);
        }
      }
    });
  }
};

}  // namespace rnnfast::RNNFAST_ISA
