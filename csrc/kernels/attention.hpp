// Products per sample and softmax over keys: see api/attention.hpp. Threads share the samples; within one the
// products are those of linear layers and weight gradients.
#pragma once

#include "api/attention.hpp"
#include "kernels/layer_norm.hpp"
#include "kernels/weight_gradient.hpp"
#include "math/activations.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
class AttentionPass {
  using V = Vec<T>;

  struct Buffers {
    T *packed, *start, *products;
  };
  static Buffers lay_out(index_t columns, index_t depth, Arena<T>& arena) {
    T* packed = arena.take(dense_size<T>(columns, depth));
    T* start = arena.take(round_up(columns, kDenseWidth<T>));
    return {packed, start, arena.take(weight_gradient_workspace<T>())};
  }
  static index_t workspace_of_one(index_t columns, index_t depth) {
    Arena<T> arena;
    lay_out(columns, depth, arena);
    return arena.used();
  }

 public:
  static index_t product_workspace(index_t columns, index_t depth, int threads) {
    return threads * workspace_of_one(columns, depth);
  }

  static void product(const api::BatchedProduct<T>& arguments) {
    const index_t rows = arguments.rows, columns = arguments.columns, depth = arguments.depth;
    const double operations = 2.0 * static_cast<double>(arguments.batch) * static_cast<double>(rows) *
                              static_cast<double>(columns) * static_cast<double>(depth);
    const int parts = parallel::worthwhile_parts(arguments.threads, operations, arguments.batch);
    const index_t workspace = workspace_of_one(columns, depth);
    parallel::for_each_part(parts, [&](int part) {
      const FlushDenormals flush;
      Arena<T> arena(arguments.workspace + part * workspace);
      const Buffers buffers = lay_out(columns, depth, arena);
      for (index_t column = 0; column < round_up(columns, kDenseWidth<T>); ++column)
        buffers.start[column] = T(0);
      const parallel::Range own = parallel::share(arguments.batch, parts, part, 1);
      for (index_t n = own.begin; n < own.end; ++n) {
        const T *const a = arguments.a + n * rows * depth, *const b = arguments.b + n * depth * columns;
        T* const c = arguments.c + n * rows * columns;
        if (arguments.transposed == api::Transposed::kLeft) {
          weight_gradient<T>(1, rows, columns, depth, {a, rows}, Rows<const T>{b, columns}, c,
                             buffers.products, kFresh);
          continue;
        }
        if (arguments.transposed == api::Transposed::kRight) {
          pack_by_rows(1, b, columns, 1, 1, depth, kDenseWidth<T>, buffers.packed);
        } else {
          pack_by_columns<kDenseWidth<T>>(1, b, columns, depth, buffers.packed);
        }
        row_product<T>(1, rows, columns, {1, {{0, depth}}}, {a, depth}, buffers.packed, buffers.start,
                       {c, columns});
      }
    });
  }

  static void softmax_forward(const api::SoftmaxForward<T>& arguments) {
    const FlushDenormals flush;
    const index_t keys = arguments.keys;
    for (index_t row = 0; row < arguments.batch * arguments.rows; ++row) {
      const T* const scores = arguments.scores + row * keys;
      T* const to = arguments.probabilities + row * keys;
      const index_t present =
          arguments.lengths == nullptr ? keys : static_cast<index_t>(arguments.lengths[row / arguments.rows]);
      T most = present > 0 ? scores[0] : T(0);
      for (index_t key = 1; key < present; ++key) most = scores[key] > most ? scores[key] : most;
      LaneSum<T> sum;
      for_each_vector<T>(present, [&](index_t key, int place, index_t left) {
        V z = load_up_to(scores + key, left) - V::broadcast(most);
        z = at_least(z, V::broadcast(ExpConstants<T>::kLeast));
        const ExpParts<Vec<T>> parts = exp_parts(z);
        const V value = first_lanes_of(fma(parts.scale, parts.fraction, parts.scale), left);
        store_up_to(value, to + key, left);
        sum.add(place, value);
      });
      const V total = V::broadcast(sum.total());
      for (index_t key = 0; key < present; key += V::kLanes)
        store_up_to(load_up_to(to + key, present - key) / total, to + key, present - key);
      for (index_t key = present; key < keys; ++key) to[key] = T(0);
    }
  }

  static void softmax_backward(const api::SoftmaxBackward<T>& arguments) {
    const FlushDenormals flush;
    const index_t keys = arguments.keys;
    for (index_t row = 0; row < arguments.rows; ++row) {
      const T *const p = arguments.probabilities + row * keys, *const dp =
                                                                   arguments.dprobabilities + row * keys;
      LaneSum<T> sum;
      for_each_vector<T>(keys, [&](index_t key, int place, index_t left) {
        sum.add_product(place, load_up_to(p + key, left), load_up_to(dp + key, left));
      });
      const V mean = V::broadcast(sum.total());
      for (index_t key = 0; key < keys; key += V::kLanes) {
        const index_t left = keys - key;
        store_up_to(load_up_to(p + key, left) * (load_up_to(dp + key, left) - mean),
                    arguments.dscores + row * keys + key, left);
      }
    }
  }
};

}  // namespace rnnfast::RNNFAST_ISA
