// LayerNorm as a layer of its own: see api/layer_norm.hpp; the sums are those of layer_norm.hpp.
//
// Some rows go together, as the sums of one row are too few chains to hide their latency, but only where
// their lines stay in cache meanwhile; that changes no bit. The gradients of gamma and beta are summed per
// group of rows that one thread owns whole, row by row, and the groups are added in order.
#pragma once

#include <cstring>

#include "api/layer_norm.hpp"
#include "base/arena.hpp"
#include "base/denormals.hpp"
#include "base/parallel.hpp"
#include "kernels/layer_activation.hpp"
#include "kernels/layer_norm.hpp"
#include "math/tile.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
class LayerNormPass {
  using V = Vec<T>;
  static constexpr int kTogether = kVectorBytes == 64 ? 4 : 2;

  // One row where the array comes from memory, which serves one stream at a time best (16384 x 256: 1.0 ms
  // against 2.6 with four); two where rows are so long that more would share their cache sets.
  static int rows_together(index_t rows, index_t features) {
    constexpr index_t kFromMemory = 4 << 20, kLong = 1 << 10, kAliasing = 4 << 10;  // bytes
    const index_t row = features * static_cast<index_t>(sizeof(T));
    if (rows * row > kFromMemory && row >= kLong) return 1;
    return row >= kAliasing ? 2 : kTogether;
  }

  // body(Constant<count>, row) for rows begin … end - 1, as many together as may be.
  template <class Body>
  static RNNFAST_INLINE void for_each_group(index_t begin, index_t end, int together, Body&& body) {
    index_t row = begin;
    if (together == kTogether) {
      for (; row + kTogether <= end; row += kTogether) body(Constant<kTogether>{}, row);
    } else if (together == 2) {
      for (; row + 2 <= end; row += 2) body(Constant<2>{}, row);
    }
    for (; row < end; ++row) body(Constant<1>{}, row);
  }
  static constexpr index_t kGroup = 64;  // rows whose dgamma and dbeta are one chain

  // An element takes some ten operations forward and twenty backward.
  static int parts_of(int threads, index_t rows, index_t features, double operations, index_t grain) {
    return parallel::worthwhile_parts(threads,
                                      operations * static_cast<double>(rows) * static_cast<double>(features),
                                      ceil_div(rows, grain));
  }

 public:
  static index_t backward_workspace(index_t rows, index_t features) {
    return 2 * ceil_div(rows, kGroup) * round_up(features, V::kLanes);
  }

  static void forward(const api::LayerNormForward<T>& arguments) {
    const int together = rows_together(arguments.rows, arguments.features);
    const int parts = parts_of(arguments.threads, arguments.rows, arguments.features, 10.0, kTogether);
    parallel::for_each_part(parts, [&](int part) {
      const FlushDenormals flush;
      const parallel::Range own = parallel::share(arguments.rows, parts, part, kTogether);
      for_each_group(own.begin, own.end, together,
                     [&](auto count, index_t row) { forward_rows<decltype(count)::value>(arguments, row); });
    });
  }

  static void backward(const api::LayerNormBackward<T>& arguments) {
    const index_t rows = arguments.rows, features = arguments.features;
    const index_t line = round_up(features, V::kLanes), groups = ceil_div(rows, kGroup);
    const int together = rows_together(rows, features);
    const int parts = parts_of(arguments.threads, rows, features, 20.0, kGroup);
    parallel::for_each_part(parts, [&](int part) {
      const FlushDenormals flush;
      const parallel::Range own = parallel::share(groups, parts, part, 1);
      for (index_t group = own.begin; group < own.end; ++group) {
        T* const sums = arguments.workspace + 2 * group * line;
        std::memset(sums, 0, static_cast<std::size_t>(2 * line) * sizeof(T));
        const index_t end = (group + 1) * kGroup < rows ? (group + 1) * kGroup : rows;
        for_each_group(group * kGroup, end, together, [&](auto count, index_t row) {
          backward_rows<decltype(count)::value>(arguments, row, sums, sums + line);
        });
      }
    });
    const FlushDenormals flush;
    for (index_t u = 0; u < features; u += V::kLanes) {
      V gamma = V::zero(), beta = V::zero();
      for (index_t group = 0; group < groups; ++group) {
        const T* const sums = arguments.workspace + 2 * group * line + u;
        gamma = gamma + V::load(sums);
        beta = beta + V::load(sums + line);
      }
      store_up_to(gamma, arguments.dgamma + u, features - u);
      store_up_to(beta, arguments.dbeta + u, features - u);
    }
  }

 private:
  template <int kRows>
  static void forward_rows(const api::LayerNormForward<T>& arguments, index_t first) {
    const index_t features = arguments.features;
    const T* x[kRows];
    const T *const gains = arguments.gamma, *const shifts = arguments.beta;
    LaneSum<T> sum[kRows], squares[kRows];
    V mean[kRows], rstd[kRows];
    const T share = T(1) / static_cast<T>(features);
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) x[r] = arguments.x + (first + r) * features;
    for_each_vector<T>(features, [&](index_t u, int place, index_t left) {
      RNNFAST_UNROLL
      for (int r = 0; r < kRows; ++r) sum[r].add(place, load_up_to(x[r] + u, left));
    });
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) mean[r] = V::broadcast(sum[r].total() * share);
    for_each_vector<T>(features, [&](index_t u, int place, index_t left) {
      RNNFAST_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const V off = first_lanes_of(load_up_to(x[r] + u, left) - mean[r], left);
        squares[r].add_product(place, off, off);
      }
    });
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const T reciprocal = reciprocal_deviation(squares[r].total() * share);
      rstd[r] = V::broadcast(reciprocal);
      if (arguments.moments != nullptr) {
        store_first(mean[r], arguments.moments + 2 * (first + r), 1);
        arguments.moments[2 * (first + r) + 1] = reciprocal;
      }
    }
    T* const y = arguments.y + first * features;
    const api::Activation activation = arguments.activation;
    for_each_vector<T>(features, [&](index_t u, int, index_t left) {
      const V gamma = load_up_to(gains + u, left), beta = load_up_to(shifts + u, left);
      RNNFAST_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const V normalised = (load_up_to(x[r] + u, left) - mean[r]) * rstd[r];
        const V affine = fma(gamma, normalised, beta);
        store_up_to(activate(activation, affine), y + r * features + u, left);
      }
    });
  }

  template <int kRows>
  static void backward_rows(const api::LayerNormBackward<T>& arguments, index_t first, T* dgamma, T* dbeta) {
    const index_t features = arguments.features, offset = first * features;
    const T *const x = arguments.x + offset, *const dy = arguments.dy + offset;
    const T* const y = arguments.activation == api::Activation::kNone ? nullptr : arguments.y + offset;
    const T* const gains = arguments.gamma;
    const api::Activation activation = arguments.activation;
    V mean[kRows], rstd[kRows];
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) {
      mean[r] = V::broadcast(arguments.moments[2 * (first + r)]);
      rstd[r] = V::broadcast(arguments.moments[2 * (first + r) + 1]);
    }
    // The gradient behind the activation, and the normalised value, of row r from unit u on.
    const auto incoming = [&](int r, index_t u, index_t left) {
      const V gradient = load_up_to(dy + r * features + u, left);
      return y == nullptr ? gradient
                          : activation_gradient(activation, load_up_to(y + r * features + u, left), gradient);
    };
    const auto normalised = [&](int r, index_t u, index_t left) {
      return (load_up_to(x + r * features + u, left) - mean[r]) * rstd[r];
    };
    NormGradient<T> norm[kRows];
    for_each_vector<T>(features, [&](index_t u, int place, index_t left) {
      const V gamma = load_up_to(gains + u, left);
      V gamma_sum = V::load(dgamma + u), beta_sum = V::load(dbeta + u);
      RNNFAST_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const V gradient = incoming(r, u, left), value = normalised(r, u, left);
        norm[r].add(place, gradient * gamma, value);
        gamma_sum = fma(gradient, value, gamma_sum);
        beta_sum = beta_sum + gradient;
      }
      gamma_sum.store(dgamma + u);
      beta_sum.store(dbeta + u);
    });
    RNNFAST_UNROLL
    for (int r = 0; r < kRows; ++r) norm[r].finish(features, arguments.moments[2 * (first + r) + 1]);
    T* const dx = arguments.dx + offset;
    for_each_vector<T>(features, [&](index_t u, int, index_t left) {
      const V gamma = load_up_to(gains + u, left);
      RNNFAST_UNROLL
      for (int r = 0; r < kRows; ++r)
        store_up_to(norm[r](incoming(r, u, left) * gamma, normalised(r, u, left)), dx + r * features + u,
                    left);
    });
  }
};

}  // namespace rnnfast::RNNFAST_ISA
