// A step whose rows need no whole lines of sums, forward: the sums of a panel are formed for all rows of a
// block, and the cell acts on them while they lie in L1. Few rows take several panels together (kFewRows).
#pragma once

#include "kernels/recurrent_cell_forward.hpp"
#include "kernels/recurrent_lines.hpp"
#include "kernels/recurrent_sums.hpp"
#include "kernels/recurrent_tail.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
class PanelStep {
  using V = Vec<T>;
  using Panel = ForwardPanel<Cell>;
  using Weights = ForwardWeights<Cell, T>;
  using Lines = SumLines<Cell, T>;
  using Block = ForwardBlock<Cell, T>;
  static constexpr index_t kSumRow = PanelSums<Panel, T>::kRow;

 public:
  // Of some panels. lines: of sums to start from, where the input product was made beforehand.
  PanelStep(const api::RecurrentCall<T>& call, const Weights& weights, const Lines& lines,
            const CellForward<Cell, T>& cell, parallel::Range panels)
      : call_(call),
        hidden_(call.dims.hidden),
        weights_(weights),
        lines_(lines),
        cell_(cell),
        panels_(panels) {}

  // first_line: that of the block's first row, or -1: the sums take the inputs too.
  RNNFAST_INLINE void run(const Block& block, index_t first_line) const {
    if (block.count <= kFewRows) {
      return call_with_rows<kFewRows>(
          block.count, [&](auto few) { run_few_rows<decltype(few)::value>(block, first_line); });
    }
    alignas(64) T sums[kRowBlock * kSumRow];
    const T* starts[kRowBlock];
    const int parts = first_line < 0 && panels_.end == weights_.panels() ? weights_.parts_of_tail() : 1;
    const index_t whole = parts > 1 ? panels_.end - 1 : panels_.end;
    for (index_t panel = panels_.begin; panel < whole; ++panel) {
      for (index_t row = 0; row < block.count; ++row) starts[row] = start(first_line, row, panel);
      panel_sums(block, first_line, panel, starts).form(block.count, hidden_ - panel * Weights::kWidth, sums);
      act_on_rows(block, panel, sums);
    }
    if constexpr (Weights::kHasTails) {
      with_parts(parts, [&](auto cut) { run_tail<decltype(cut)::value>(block, sums); });
    }
  }

 private:
  // sums: room that a panel has, which is more than a tail takes.
  template <int kParts>
  [[gnu::noinline]] void run_tail(const Block& block, T* sums) const {
    using Tail = TailSums<Cell, T, kParts>;
    using Places = PartPlaces<T, kParts>;
    constexpr index_t kRow = Tail::kRow, kRun = V::kLanes / kParts;
    static_assert(kRow < kSumRow);
    Tail::form(block.count, block.x, call_.dims.inputs, block.operand, call_.dims.outputs(),
               call_.packed + weights_.tail_offset(), sums);
    V::zero().store(sums + block.count * kRow);
    const CellForward<Cell, T> cell = cell_;
    const index_t unit = hidden_ / V::kLanes * V::kLanes;
    index_t row = 0;
    for (; cell.plain() && row + Places::kRows <= block.count; row += Places::kRows)
      cell.act_two(block, Places(row, unit, hidden_), sums + row * kRow, kRow, kRun);
    for (; row < block.count; ++row) cell.act(block, row, unit, sums + row * kRow, kRun);
  }

  // With inputs where no line holds their sums already.
  PanelSums<Panel, T> panel_sums(const Block& block, index_t first_line, index_t panel,
                                 const T* const* starts) const {
    return {
        {first_line < 0 ? block.x : nullptr, call_.dims.inputs, weights_.input_panel(call_.packed, panel)},
        {block.operand, call_.dims.outputs(), weights_.hidden_panel(call_.packed, panel)},
        starts,
        first_line < 0 ? Weights::kWidth : lines_.run(),
        is_far<T>(weights_.size(), block.count)};
  }
  const T* start(index_t first_line, index_t row, index_t panel) const {
    return first_line < 0 ? weights_.start_of(call_.packed, panel)
                          : lines_.line(first_line + row) + panel * Weights::kWidth;
  }

  template <int kFew>
  [[gnu::noinline]] void run_few_rows(const Block& block, index_t first_line) const {
    constexpr int kMost = Panel::together(kFew);
    alignas(64) T sums[kMost * kFew * kSumRow];
    const T* starts[kMost * kFew];
    for_each_tile<kMost>(panels_.begin, panels_.end, [&](auto together, index_t panel) {
      constexpr int kPanels = decltype(together)::value;
      for (int line = 0; line < kPanels * kFew; ++line)
        starts[line] = start(first_line, line % kFew, panel + line / kFew);
      panel_sums(block, first_line, panel, starts).template form_together<kFew, kPanels>(sums);
      if constexpr (kFew == 1) {
        act_on_one_row(block, panel, kPanels, sums);
      } else {
        for (int p = 0; p < kPanels; ++p) act_on_rows(block, panel + p, sums + p * kFew * kSumRow);
      }
    });
  }

  // The units of one panel, of all rows of a block. Not inlined: alone it keeps its values in registers.
  [[gnu::noinline]] void act_on_rows(const Block& block, index_t panel, const T* sums) const {
    const CellForward<Cell, T> cell = cell_;
    const bool plain = cell.plain();
    for (int u = 0; u < Panel::kUnitVectors; ++u, sums += V::kLanes) {
      const index_t unit = panel * Weights::kWidth + u * V::kLanes;
      if (unit >= hidden_) return;
      index_t row = 0;
      for (; plain && row + 2 <= block.count; row += 2) {
        const T* const own = sums + row * kSumRow;
        cell.act_two(block, VectorPlaces<T, 1>(row, unit, hidden_), own, kSumRow, Weights::kWidth);
      }
      for (; row < block.count; ++row) cell.act(block, row, unit, sums + row * kSumRow, Weights::kWidth);
    }
  }

  // The units of some panels from `panel` on, of a block of one row; a row of sums for each panel.
  [[gnu::noinline]] void act_on_one_row(const Block& block, index_t panel, int panels, const T* sums) const {
    const CellForward<Cell, T> cell = cell_;
    const index_t first = panel * Weights::kWidth, units = panels * Weights::kWidth;
    const index_t left = hidden_ - first < units ? hidden_ - first : units;
    const auto vector = [sums](index_t unit) {
      return sums + unit / Weights::kWidth * kSumRow + unit % Weights::kWidth;
    };
    index_t unit = 0;
    for (; cell.plain() && unit + V::kLanes < left; unit += 2 * V::kLanes) {
      const T* const own = vector(unit);
      cell.act_two(block, VectorPlaces<T, 0>(0, first + unit, hidden_), own, vector(unit + V::kLanes) - own,
                   Weights::kWidth);
    }
    for (; unit < left; unit += V::kLanes) cell.act(block, 0, first + unit, vector(unit), Weights::kWidth);
  }

  const api::RecurrentCall<T>& call_;
  const index_t hidden_;
  const Weights weights_;
  const Lines& lines_;
  const CellForward<Cell, T>& cell_;
  const parallel::Range panels_;
};

}  // namespace rnnfast::RNNFAST_ISA
