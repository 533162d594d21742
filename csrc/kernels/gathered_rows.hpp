// Operands and results of weight gradients that lie in several places side by side.
#pragma once

#include <limits>

#include "kernels/product.hpp"

namespace rnnfast::RNNFAST_ISA {

// Columns of an operand of a product: the rows they lie in, the first of them there, and how many follow.
template <class T>
struct OperandColumns {
  Rows<const T> rows;
  index_t column, left;

  RNNFAST_INLINE const T* at(index_t row) const { return rows.at(row) + column; }
};

// Rows whose columns are those of several operands side by side: the taps of a convolution.
template <class T>
struct GatheredRows {
  struct Part {
    const T* const* rows;
    index_t columns;
  };
  const Part* parts;
};

template <class T>
RNNFAST_INLINE OperandColumns<T> columns_from(const GatheredRows<T>& operands, index_t column) {
  const typename GatheredRows<T>::Part* part = operands.parts;
  for (; column >= part->columns; ++part) column -= part->columns;
  return {{nullptr, 0, part->rows}, column, part->columns - column};
}
template <class T>
RNNFAST_INLINE OperandColumns<T> columns_from(const Rows<const T>& operand, index_t column) {
  return {operand, column, std::numeric_limits<index_t>::max()};
}

// Where columns of a result lie: runs of columns side by side, each a matrix of its own, row by row.
template <class T>
struct ColumnRun {
  T* data;
  index_t columns;
  T* target = nullptr;  // a matrix of the same shape that complete sums are added to; null: they stay in data

  // From column `column` of all runs on: where it lies, how far its next row, how many of its run follow.
  struct Place {
    T* data;
    index_t stride, left;
    T* target;
  };
  static RNNFAST_INLINE Place find(const ColumnRun* run, index_t column) {
    for (; column >= run->columns; ++run) column -= run->columns;
    T* const target = run->target == nullptr ? nullptr : run->target + column;
    return {run->data + column, run->columns, run->columns - column, target};
  }
};

}  // namespace rnnfast::RNNFAST_ISA
