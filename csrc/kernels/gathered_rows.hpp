// Operands and results of weight gradients that lie in several places side by side.
#pragma once

#include "kernels/product.hpp"

namespace rnnfast::RNNFAST_ISA {

// Rows whose columns are those of several operands side by side: the taps of a convolution.
template <class T>
struct GatheredRows {
  struct Part {
    const T* const* rows;
    index_t columns;
  };
  const Part* parts;

  // The operand that a column belongs to, its column there and how many of its columns follow.
  struct Place {
    const T* const* rows;
    index_t column, left;
    RNNFAST_INLINE const T* at(index_t row) const { return rows[row] + column; }
  };
  RNNFAST_INLINE Place find(index_t column) const {
    const Part* part = parts;
    for (; column >= part->columns; ++part) column -= part->columns;
    return {part->rows, column, part->columns - column};
  }
};

// Where columns of a result lie: runs of columns side by side, each a matrix of its own, row by row.
template <class T>
struct ColumnRun {
  T* data;
  index_t columns;

  // From column `column` of all runs on: where it lies, how far its next row, how many of its run follow.
  struct Place {
    T* data;
    index_t stride, left;
  };
  static RNNFAST_INLINE Place find(const ColumnRun* run, index_t column) {
    for (; column >= run->columns; ++run) column -= run->columns;
    return {run->data + column, run->columns, run->columns - column};
  }
};

}  // namespace rnnfast::RNNFAST_ISA
