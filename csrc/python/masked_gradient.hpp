// The gradient of a weight_hh that was multiplied with a mask (weight dropout): it has a place of its own,
// from where it is added to the target behind the kernel.
#pragma once

#include "python/packed_weights.hpp"
#include "python/plain_array.hpp"

namespace rnnfast::python {

template <class T>
class MaskedGradient {
 public:
  static void check(const py::object& mask, const PackedWeights& weights) {
    if (!py::isinstance<py::array>(mask))
      fail("weight_masks", "must be arrays or None, got " + description(mask));
    const Matrix shape{weights.facts().gates * weights.hidden, weights.dims().outputs()};
    check_shape<T>(py::reinterpret_borrow<py::array>(mask), shape, "weight_masks");
  }

  // mask: as checked.
  MaskedGradient(const py::array& mask, T* target)
      : gradient_(new_array<T>(Matrix{mask.shape(0), mask.shape(1)})),
        mask_(py::reinterpret_borrow<py::array_t<T>>(mask)),
        factors_(mask_.template unchecked<2>()),
        values_(data_of<T>(gradient_.ptr())),
        target_(target) {
    std::fill_n(values_, size_of(gradient_.ptr()), T(0));
  }

  T* values() const { return values_; }
  void add() const {
    const T* from = values_;
    T* to = target_;
    for (index_t row = 0; row < factors_.shape(0); ++row) {
      for (index_t column = 0; column < factors_.shape(1); ++column) *to++ += *from++ * factors_(row, column);
    }
  }

 private:
  py::object gradient_;
  py::array_t<T> mask_;
  py::detail::unchecked_reference<T, 2> factors_;
  T *values_, *target_;
};

}  // namespace rnnfast::python
