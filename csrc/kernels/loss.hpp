// Sums of element losses and their slopes: plain loops, which the compiler turns into vectors. The sum is in
// double, of kLanes chains that are added as a tree: the same for every instruction set.
#pragma once

#include <type_traits>

#include "api/loss.hpp"
#include "math/isa.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
class LossPass {
  static constexpr index_t kLanes = 16;

 public:
  static double element_sum(const api::ElementLossSum<T>& sum) {
    const T parameter = sum.parameter;
    // term(prediction, target, its slope); comparisons are such that what is not a number stays so.
    switch (sum.loss) {
      case api::ElementLoss::kSquared:
        return add(sum, [](T prediction, T target, T& slope) {
          const T d = prediction - target;
          slope = d + d;
          return d * d;
        });
      case api::ElementLoss::kAbsolute:
        return add(sum, [](T prediction, T target, T& slope) {
          const T d = prediction - target;
          slope = d > 0 ? T(1) : d < 0 ? T(-1) : d;
          return d < 0 ? -d : d;
        });
      case api::ElementLoss::kHuber:
        return add(sum, [parameter](T prediction, T target, T& slope) {
          const T d = prediction - target;
          slope = d < -parameter ? -parameter : d > parameter ? parameter : d;
          return slope * (d - T(0.5) * slope);
        });
      case api::ElementLoss::kQuantile:
        return add(sum, [parameter, above = T(1) - parameter](T prediction, T target, T& slope) {
          const T d = prediction - target;
          slope = d > 0 ? above : d < 0 ? -parameter : d;
          return slope * d;
        });
    }
    return 0;
  }

 private:
  template <class Term>
  static double add(const api::ElementLossSum<T>& sum, const Term& term) {
    const auto masked = [&](auto has_mask) {
      return sum.slopes != nullptr ? add(sum, term, has_mask, std::true_type{})
                                   : add(sum, term, has_mask, std::false_type{});
    };
    return sum.mask != nullptr ? masked(std::true_type{}) : masked(std::false_type{});
  }

  template <class Term, bool kMasked, bool kSloped>
  static double add(const api::ElementLossSum<T>& sum, const Term& term, std::bool_constant<kMasked>,
                    std::bool_constant<kSloped>) {
    const T* const __restrict prediction = sum.prediction, * const __restrict target = sum.target;
    const bool* const __restrict mask = sum.mask;
    T* const __restrict slopes = sum.slopes;
    const T scale = sum.scale;
    double sums[kLanes] = {};
    const auto one = [&](index_t k, index_t lane) {
      T slope;
      T value = term(prediction[k], target[k], slope);
      slope = slope * scale;
      if (kMasked && !mask[k]) value = slope = T(0);
      if constexpr (kSloped) slopes[k] = slope;
      sums[lane] += static_cast<double>(value);
    };
    index_t first = 0;
    for (; first + kLanes <= sum.count; first += kLanes) {
      for (index_t lane = 0; lane < kLanes; ++lane) one(first + lane, lane);
    }
    for (index_t lane = 0; first + lane < sum.count; ++lane) one(first + lane, lane);
    for (index_t width = kLanes / 2; width > 0; width /= 2) {
      for (index_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
    }
    return sums[0];
  }
};

}  // namespace rnnfast::RNNFAST_ISA
