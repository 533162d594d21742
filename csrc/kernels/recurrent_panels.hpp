// Steps whose rows need no whole lines of sums, forward: the sums of a panel are formed for all rows of a
// block, and the cell acts on them while they lie in L1. Few rows take several panels together (kFewRows).
//
// A block of one row takes its steps here, one after the other: for 16 units a quarter to a third of each
// step was the way back to the driver and through L1. Where the cell has no options its sums stay in
// registers.
#pragma once

#include <utility>

#include "kernels/recurrent_cell_forward.hpp"
#include "kernels/recurrent_lines.hpp"
#include "kernels/recurrent_sums.hpp"
#include "kernels/recurrent_tail.hpp"

namespace rnnfast::RNNFAST_ISA {

// How far the pointers of a row move from one step to the next.
struct RowStrides {
  index_t x, y, tape, states[api::kMostStates];
};

template <class Cell, class T>
class PanelStep {
  using V = Vec<T>;
  using Panel = ForwardPanel<Cell>;
  using Weights = ForwardWeights<Cell, T>;
  using Lines = SumLines<Cell, T>;
  using Block = ForwardBlock<Cell, T>;
  static constexpr index_t kSumRow = PanelSums<Panel, T>::kRow;
  static constexpr int kTogether = Panel::together(1);  // panels of a single row

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

  // One step of the block, or of a single row `steps` of them, which move its pointers by `strides`; threads
  // that share units meet between two. first_line: that of the block's first row, or -1: the sums take the
  // inputs too.
  RNNFAST_INLINE void run(Block& block, index_t steps, const RowStrides& strides, index_t first_line,
                          const ScanShare& share) const {
    static_assert(kFewRows == 3);
    if (block.count > kFewRows) return run_rows(block, first_line);
    if (block.count == 3) return run_few_rows<3>(block, first_line);
    if (block.count == 2) return run_few_rows<2>(block, first_line);
    const index_t panels = panels_.end - panels_.begin, tiles = ceil_div(panels, kTogether);
    call_with_rows<kTogether>(tiles > 0 ? ceil_div(panels, tiles) : 1, [&](auto together) {
      run_row<decltype(together)::value>(block, steps, strides, first_line, share);
    });
  }

 private:
  [[gnu::noinline]] void run_rows(const Block& block, index_t first_line) const {
    alignas(64) T sums[kRowBlock * kSumRow];
    const T* starts[kRowBlock];
    const int parts = first_line < 0 && panels_.end == weights_.panels() ? weights_.parts_of_tail() : 1;
    const index_t whole = parts > 1 ? panels_.end - 1 : panels_.end;
    for (index_t panel = panels_.begin; panel < whole; ++panel) {
      for (index_t row = 0; row < block.count; ++row) starts[row] = start(first_line, row, panel);
      panel_sums(block, first_line, panel, starts).form(block.count, hidden_ - panel * Weights::kWidth, sums);
      act_on_rows(block, panel, 1, sums);
    }
    if constexpr (Weights::kHasTails) {
      with_parts(parts, [&](auto cut) { run_tail<decltype(cut)::value>(block, sums); });
    }
  }

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
      panel_sums(block, first_line, panel, starts)
          .template form_together<kFew, kPanels>(
              [&](int line, int slot, V sum) { sum.store(sums + line * kSumRow + slot * V::kLanes); });
      act_on_rows(block, panel, kPanels, sums);
    });
  }

  // Steps of one row. Panels go kPanels together, in the last tiles one fewer.
  template <int kPanels>
  [[gnu::noinline]] void run_row(Block& block, index_t steps, const RowStrides& strides, index_t first_line,
                                 const ScanShare& share) const {
    const CellForward<Cell, T> cell = cell_;
    const index_t panels = panels_.end - panels_.begin;
    const index_t full_tiles = panels - ceil_div(panels, kPanels) * (kPanels - 1);
    const index_t bound = panels_.begin + full_tiles * kPanels;
    for (index_t step = 0;;) {
      index_t panel = panels_.begin;
      for (; panel < bound; panel += kPanels) run_tile<kPanels>(cell, block, first_line, panel);
      if constexpr (kPanels > 1) {
        for (; panel < panels_.end; panel += kPanels - 1)
          run_tile<kPanels - 1>(cell, block, first_line, panel);
      }
      if (++step >= steps) return;
      share.meet();
      std::swap(block.previous[0][0], block.next_h[0]);
      block.operand[0] = block.previous[0][0];
      block.x[0] += strides.x;
      block.y[0] += strides.y;
      block.tape[0] += strides.tape;
      for (int s = 1; s < Cell::kStates; ++s) block.states[s][0] += strides.states[s];
      if (first_line >= 0) ++first_line;
    }
  }

  template <int kPanels>
  RNNFAST_INLINE void run_tile(const CellForward<Cell, T>& cell, const Block& block, index_t first_line,
                               index_t panel) const {
    const T* starts[kPanels];
    for (int p = 0; p < kPanels; ++p) starts[p] = start(first_line, 0, panel + p);
    V sums[kPanels][Panel::kSums];
    panel_sums(block, first_line, panel, starts)
        .template form_together<1, kPanels>([&](int p, int slot, V sum) { sums[p][slot] = sum; });
    if (!cell.plain()) {
      alignas(64) T stored[kPanels * kSumRow];
      RNNFAST_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        RNNFAST_UNROLL
        for (int slot = 0; slot < Panel::kSums; ++slot)
          sums[p][slot].store(stored + p * kSumRow + slot * V::kLanes);
      }
      return act_on_rows(block, panel, kPanels, stored);
    }
    act_on_vectors<kPanels, 0>(cell, block, panel, sums);
  }

  // Vectors kFirst … of the units of some panels, two by two.
  template <int kPanels, int kFirst>
  RNNFAST_INLINE void act_on_vectors(const CellForward<Cell, T>& cell, const Block& block, index_t panel,
                                     const V (&sums)[kPanels][Panel::kSums]) const {
    constexpr int kUnits = Panel::kUnitVectors, kSecond = kFirst + 1;
    constexpr bool kTwo = kSecond < kPanels * kUnits;
    const index_t unit = panel * Weights::kWidth + kFirst * V::kLanes;
    if (unit >= hidden_) return;
    const auto first = [&](int s) { return sums[kFirst / kUnits][s * kUnits + kFirst % kUnits]; };
    if (!kTwo || unit + V::kLanes >= hidden_)
      return cell.act_plain(block, SinglePlace<T>(0, unit, hidden_), first);
    if constexpr (kTwo) {
      cell.act_plain(block, VectorPlaces<T, 0>(0, unit, hidden_), [&](int s) {
        return Pair<T>{first(s), sums[kSecond / kUnits][s * kUnits + kSecond % kUnits]};
      });
      if constexpr (kFirst + 2 < kPanels * kUnits)
        act_on_vectors<kPanels, kFirst + 2>(cell, block, panel, sums);
    }
  }

  // The units of some panels from `panel` on, of all rows of a block; sums: of all rows for the first panel,
  // then for the next one. Not inlined: alone it keeps its values in registers.
  [[gnu::noinline]] void act_on_rows(const Block& block, index_t panel, int panels, const T* sums) const {
    const CellForward<Cell, T> cell = cell_;
    const bool plain = cell.plain();
    for (int p = 0; p < panels; ++p, sums += block.count * kSumRow) {
      for (int u = 0; u < Panel::kUnitVectors; ++u) {
        const index_t unit = (panel + p) * Weights::kWidth + u * V::kLanes;
        if (unit >= hidden_) return;
        const T* own = sums + u * V::kLanes;
        index_t row = 0;
        for (; plain && row + 2 <= block.count; row += 2, own += 2 * kSumRow)
          cell.act_two(block, VectorPlaces<T, 1>(row, unit, hidden_), own, kSumRow, Weights::kWidth);
        for (; row < block.count; ++row, own += kSumRow) cell.act(block, row, unit, own, Weights::kWidth);
      }
    }
  }

  const api::RecurrentCall<T>& call_;
  const index_t hidden_;
  const Weights weights_;
  const Lines& lines_;
  const CellForward<Cell, T>& cell_;
  const parallel::Range panels_;
};

}  // namespace rnnfast::RNNFAST_ISA
