// dW[m, n] = sum over rows k of a_k[m] b_k[n], of [outputs, inputs]: row-major, or in runs of columns that
// are matrices of their own, to which complete sums may be added. Threads share the elements, never a sum.
#pragma once

#include "kernels/narrow_outer_product.hpp"
#include "kernels/outer_product.hpp"

namespace rnnfast::RNNFAST_ISA {

// Gradients of few inputs, or so few weights, are formed without packing.
template <class T>
constexpr index_t kNarrowSums = (8 << 10) / static_cast<index_t>(sizeof(T));
template <class T>
RNNFAST_INLINE bool is_narrow(index_t outputs, index_t inputs) {
  return inputs < kDenseWidth<T> || inputs * NarrowOuterProduct<T>::stride(outputs) <= kNarrowSums<T>;
}

// Of every thread.
template <class T>
RNNFAST_INLINE index_t weight_gradient_workspace() {
  const index_t packed = OuterProduct<T>::workspace();
  return packed > kNarrowSums<T> ? packed : kNarrowSums<T>;
}

// Own outputs and inputs of a narrow product.
template <class T, class B>
void narrow_weight_gradient(parallel::Range outputs, parallel::Range inputs, index_t depth,
                            const Rows<const T>& a, const B& b, const ColumnRun<T>* runs, T* memory,
                            Sums sums, bool last) {
  using Product = NarrowOuterProduct<T>;
  const index_t width = inputs.end - inputs.begin;
  if (width == 0) return;
  const index_t fitting = kNarrowSums<T> / width / Vec<T>::kLanes * Vec<T>::kLanes;
  for (index_t first = outputs.begin; first < outputs.end; first += fitting) {
    const index_t count = outputs.end - first < fitting ? outputs.end - first : fitting;
    const auto for_each_sum = [&](auto&& body) {  // body(sum, the place of its column, how far it is there)
      for (index_t m = 0; m < width; ++m) {
        const auto place = ColumnRun<T>::find(runs, inputs.begin + m);
        T* const own = memory + m * Product::stride(count);
        for (index_t n = 0; n < count; ++n) body(own[n], place, (first + n) * place.stride);
      }
    };
    for (index_t i = 0; i < width * Product::stride(count); ++i) memory[i] = T(0);
    if (sums != kFresh) for_each_sum([](T& sum, const auto& place, index_t at) { sum = place.data[at]; });
    for (index_t k = 0; k < depth; k += kRowBlock) {
      const parallel::Range rows{k, depth - k < kRowBlock ? depth : k + kRowBlock};
      Product::add({first, first + count}, inputs, rows, a, b, memory);
    }
    for_each_sum([last](T sum, const auto& place, index_t at) {
      if (last && place.target != nullptr) {
        place.target[at] += sum;
      } else {
        place.data[at] = sum;
      }
    });
  }
}

// b: Rows or GatheredRows. Of rows in several portions `sums` tells the first one from the others, and `last`
// the one that completes the sums.
template <class T, class B>
void weight_gradient(int threads, index_t outputs, index_t inputs, index_t depth, const Rows<const T>& a,
                     const B& b, const ColumnRun<T>* runs, T* workspace, Sums sums, bool last = true) {
  const bool narrow = is_narrow<T>(outputs, inputs);
  // Of a narrow product whatever can be divided more finely: its sums lie transposed.
  constexpr index_t kInputGrain = 4;
  const index_t grain = narrow ? kDenseWidth<T> : DenseProduct<T>::kRows;
  const index_t by_outputs = ceil_div(outputs, grain), by_inputs = narrow ? ceil_div(inputs, kInputGrain) : 0;
  const index_t shares = by_inputs > by_outputs ? by_inputs : by_outputs;
  const double operations =
      2.0 * static_cast<double>(outputs) * static_cast<double>(inputs) * static_cast<double>(depth);
  const int parts = parallel::worthwhile_parts(threads, operations, shares);
  parallel::for_each_part(parts, [&](int part) {
    const FlushDenormals flush;
    T* const memory = workspace + part * weight_gradient_workspace<T>();
    parallel::Range own_outputs{0, outputs}, own_inputs{0, inputs};
    if (by_inputs > by_outputs) {
      own_inputs = parallel::share(inputs, parts, part, kInputGrain);
    } else {
      own_outputs = parallel::share(outputs, parts, part, grain);
    }
    if (narrow) {
      narrow_weight_gradient<T>(own_outputs, own_inputs, depth, a, b, runs, memory, sums, last);
    } else {
      OuterProduct<T>::run(own_outputs, own_inputs, {depth, OuterProduct<T>::depth_block(outputs * inputs)},
                           a, b, runs, memory, sums, last);
    }
  });
}

template <class T, class B = Rows<const T>>
void weight_gradient(int threads, index_t outputs, index_t inputs, index_t depth, const Rows<const T>& a,
                     const B& b, T* dweight, T* workspace, Sums sums) {
  const ColumnRun<T> whole{dweight, inputs};
  weight_gradient<T>(threads, outputs, inputs, depth, a, b, &whole, workspace, sums);
}

}  // namespace rnnfast::RNNFAST_ISA
