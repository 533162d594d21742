// The scan driver, backward: every cell, both directions of time, every option, float and double.
//
//   for each step from the last to the first:
//     dh_t    = dy_t + (what step t+1 passes on directly) + W_hh^T dsums_{t+1}
//     dsums_t = cell gradient(dh_t, …), over the tape's gates, which are used up
//   then the products of recurrent_gradients.hpp over all rows, or those of recurrent_group_gradients.hpp
//   over the rows of eight samples
//
// The cell's gradient is the epilogue of the product with W_hh. Threads own disjoint samples in the scan and
// disjoint outputs in the products over all rows: no sum is ever divided between them. A sequence whose tape
// was not kept whole goes segment by segment: forward once more, scan, products.
#pragma once

#include "kernels/recurrent_cell_backward.hpp"
#include "kernels/recurrent_forward.hpp"
#include "kernels/recurrent_gradients.hpp"
#include "kernels/recurrent_group_gradients.hpp"
#include "kernels/recurrent_panels_backward.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
class RecurrentBackwardPass {
  using V = Vec<T>;
  using Weights = BackwardWeights<Cell, T>;
  using Stretch = StretchGradients<Cell, T>;
  using Groups = GroupGradients<Cell, T>;
  using Forward = RecurrentForwardPass<Cell, T>;
  using UnitSums = UnitGradients<Cell, T>;
  using Block = BackwardBlock<Cell, T>;
  using Cells = CellBackward<Cell, T>;
  // Threads that share units own whole panels, and what a single row takes together.
  static constexpr index_t kUnitGrain = panels_together(1, kDenseVectors) * kDenseWidth<T>;

 public:
  using Arguments = api::RecurrentBackward<T>;

  static index_t workspace(const api::RecurrentDims& dims, int threads) {
    Arena<T> arena;
    Schedule<T>::lay_out(dims, arena);
    lay_out(dims, threads, arena);
    return arena.used();
  }

  static void run(const Arguments& arguments) {
    const FlushDenormals flush;
    const api::RecurrentDims& dims = arguments.call.dims;
    Arena<T> arena(arguments.workspace);
    const Schedule<T> schedule(arguments.call, Schedule<T>::lay_out(dims, arena));
    const Buffers buffers = lay_out(dims, arguments.call.threads, arena);
    arguments.wave.wait_for_begin(dims.steps);
    begin(arguments, schedule, buffers);
    const bool grouped = Groups::suit(dims);
    index_t most_rows = Stretch::most_rows(dims);
    if (grouped && most_rows < Groups::fewest_rows(dims)) most_rows = Groups::fewest_rows(dims);
    Sums sums = kFresh;
    const auto stretch = [&](parallel::Range kept, parallel::Range steps) {
      const index_t behind = schedule.rows(steps.end, kept.end);
      T* const tape = arguments.tape + behind * TapeRow<Cell, T>(dims).stride;
      if (grouped) {
        const Groups groups(arguments, schedule, buffers.zeros, tape, steps, buffers.group_sums, sums);
        scan_all(arguments, schedule, buffers, kept, steps, &groups);
      } else {
        scan_all(arguments, schedule, buffers, kept, steps, nullptr);
        Stretch(arguments, schedule, buffers.stretch, buffers.zeros, tape, steps, sums).run();
      }
      sums = Sums::kContinued;
      arguments.wave.reach(dims.steps - steps.begin);
    };
    for (index_t segment = dims.segments() - 1; segment >= 0; --segment) {
      const index_t begin = segment * dims.segment, left = dims.steps - begin;
      const parallel::Range kept{begin, begin + (left < dims.segment ? left : dims.segment)};
      if (dims.segment < dims.steps) recompute(arguments, schedule, buffers, kept);
      for (index_t end = kept.end, first; end > kept.begin; end = first) {
        first = end - 1;
        while (first > kept.begin && schedule.rows(first - 1, end) <= most_rows) --first;
        stretch(kept, {first, end});
      }
    }
    if (sums == kFresh) stretch({0, 0}, {0, 0});  // no steps: all sums are empty ones
    end(arguments, buffers);
  }

 private:
  struct Buffers {
    T* dstate[api::kMostStates];  // rows: gradients of the states, as far as they do not come through W_hh
    T* doperand;                  // rows: gradient of h' so far, where it is not all from one product
    T *lines, *room;              // of one block of rows: gradient of h; of one row of every thread
    T* zoneout;                   // of one block of rows: masks of every state
    T* zeros;                     // one row, also the place of an absent state
    T *unit_sums, *group_sums;
    typename Stretch::Buffers stretch;
    typename Forward::Buffers forward;
  };

  static Buffers lay_out(const api::RecurrentDims& dims, int threads, Arena<T>& arena) {
    Buffers buffers{};
    const index_t block = threads * kRowBlock, units = state_stride<T>(dims.widest_state());
    for (int s = 0; s < Cell::kStates; ++s)
      buffers.dstate[s] = arena.take(dims.batch * state_stride<T>(dims.state_size(s)));
    buffers.doperand = arena.take(Cell::kGatedSums > 0 ? dims.batch * units : 0);
    buffers.lines = arena.take(block * units);
    buffers.room = arena.take(threads * Cells::room(dims));
    buffers.zoneout = arena.take(block * Cell::kStates * units);
    buffers.unit_sums = arena.take(UnitSums::size(dims));
    buffers.zeros = arena.take(zeros(dims));
    buffers.group_sums = arena.take(Groups::size(dims));
    if (!Groups::suit(dims)) buffers.stretch = Stretch::lay_out(dims, threads, arena);
    if (dims.segment < dims.steps) buffers.forward = Forward::lay_out(dims, threads, arena);
    return buffers;
  }

  static index_t zeros(const api::RecurrentDims& dims) {
    const index_t state = dims.widest_state();
    return state_stride<T>(dims.inputs > state ? dims.inputs : state);
  }

  static void begin(const Arguments& arguments, const Schedule<T>& schedule, const Buffers& buffers) {
    const api::RecurrentDims& dims = arguments.call.dims;
    for (index_t unit = 0; unit < UnitSums::size(dims); ++unit) buffers.unit_sums[unit] = T(0);
    for (index_t unit = 0; unit < zeros(dims); ++unit) buffers.zeros[unit] = T(0);
    for (index_t n = 0; n < dims.batch; ++n) {
      for (int s = 0; s < Cell::kStates; ++s) {
        const index_t size = dims.state_size(s), stride = state_stride<T>(size);
        const T* const all = arguments.dfinal_state[s];
        const T* const from = all == nullptr ? nullptr : all + n * size;
        copy_padded(buffers.dstate[s] + n * stride, stride, from, size);
        for (index_t unit = 0; arguments.dreset_state[s] != nullptr && unit < size; ++unit)
          arguments.dreset_state[s][n * size + unit] = T(0);
      }
      for (index_t t = schedule.length(n); arguments.dx.data != nullptr && t < dims.steps; ++t) {
        for (index_t k = 0; k < dims.inputs; ++k) arguments.dx.at(n, t)[k] = T(0);
      }
    }
  }

  static void end(const Arguments& arguments, const Buffers& buffers) {
    const api::RecurrentDims& dims = arguments.call.dims;
    for (int s = 0; s < Cell::kStates; ++s) {
      const index_t size = dims.state_size(s), stride = state_stride<T>(size);
      for (index_t n = 0; n < dims.batch; ++n) {
        for (index_t unit = 0; unit < size; ++unit)
          arguments.dstate[s][n * size + unit] = buffers.dstate[s][n * stride + unit];
      }
    }
    const api::RecurrentGradients<T>& gradients = arguments.gradients;
    UnitSums::finish(dims, buffers.unit_sums, gradients);
    if (!Groups::suit(dims)) return Stretch::finish(dims, buffers.stretch, gradients);
    Groups::finish(dims, arguments.call.threads, buffers.group_sums, gradients);
  }

  // The tape of some steps, as forward would have left it.
  static void recompute(const Arguments& arguments, const Schedule<T>& schedule, const Buffers& buffers,
                        parallel::Range steps) {
    api::RecurrentForward<T> forward{};
    forward.call = arguments.call;
    forward.tape = arguments.tape;
    forward.checkpoints = const_cast<T*>(arguments.checkpoints);  // read only: `before` is given
    Forward::run(forward, schedule, buffers.forward, steps, &arguments.y);
  }

  // And the gradients of groups, where the layer is one for them.
  static void scan_all(const Arguments& arguments, const Schedule<T>& schedule, const Buffers& buffers,
                       parallel::Range kept, parallel::Range steps, const Groups* groups) {
    const api::RecurrentDims& dims = arguments.call.dims;
    const api::RecurrentCall<T>& call = arguments.call;
    const double gates = static_cast<double>(Cell::kGates * dims.hidden);
    double of_row = 2.0 * gates * static_cast<double>(dims.outputs());
    if (groups != nullptr) of_row += Groups::operations(dims);
    if (groups != nullptr && arguments.dx.data != nullptr)
      of_row += 2.0 * gates * static_cast<double>(dims.inputs);
    const double operations = of_row * static_cast<double>(schedule.rows(steps.begin, steps.end));
    const bool whole_rows = Cell::kGatedSums > 0 || dims.layer_norm != api::LayerNorm::kNone ||
                            dims.projection > 0 || call.resets.data != nullptr || call.zoneout.training;
    // Groups belong to threads that share samples.
    const index_t unit_shares = whole_rows || groups != nullptr ? 0 : ceil_div(dims.hidden, kUnitGrain);
    for_each_share(schedule, call.threads, operations, steps.end - steps.begin, unit_shares,
                   [&](const ScanShare& share) {
                     const FlushDenormals flush;
                     RecurrentBackwardPass(arguments, schedule, buffers, kept, steps, share).scan();
                     if (groups != nullptr) groups->run(share.positions);
                   });
  }

  RecurrentBackwardPass(const Arguments& arguments, const Schedule<T>& schedule, const Buffers& buffers,
                        parallel::Range kept, parallel::Range steps, const ScanShare& share)
      : arguments_(arguments),
        call_(arguments.call),
        dims_(call_.dims),
        schedule_(schedule),
        buffers_(buffers),
        kept_(kept),
        steps_(steps),
        share_(share),
        own_(share.positions),
        own_units_(share.units(dims_.outputs(), kUnitGrain)),
        weights_{dims_.inputs, dims_.hidden, dims_.projection},
        row_(dims_),
        units_(state_stride<T>(dims_.widest_state())),
        split_(dims_.layer_norm == api::LayerNorm::kSplit),
        normed_(dims_.layer_norm != api::LayerNorm::kNone),
        cell_(arguments, buffers.unit_sums, buffers.room + share.part * Cells::room(dims_)) {}

  index_t stride(int s) const { return state_stride<T>(dims_.state_size(s)); }
  T* dstate(int s, index_t n) const { return buffers_.dstate[s] + n * stride(s); }
  T* tape(index_t step, index_t position) const {
    return arguments_.tape + (schedule_.row(step, position) - schedule_.row(kept_.end - 1, 0)) * row_.stride;
  }

  void scan() const {
    for (index_t step = steps_.end; step >= steps_.begin && steps_.begin < steps_.end; --step) {
      const bool last = step == steps_.begin;
      if (!last) arguments_.wave.wait_for(dims_.steps - step + 1);
      const index_t with = step == steps_.end ? 0 : own_.below(schedule_.active(step));
      const index_t all = last ? with : own_.below(schedule_.active(step - 1));
      through_hidden_weights(step, 0, with, true, last);
      through_hidden_weights(step, with, all, false, last);
      share_.meet();
    }
  }

  // The gradient of h before step `step` for own samples begin … end - 1: what was passed on directly, plus,
  // for samples that run at that step, W_hh^T times the gradients of its sums. It goes into the cell's
  // gradient of the step before, or waits in its row where that step is not of this stretch (`last`).
  void through_hidden_weights(index_t step, index_t begin, index_t end, bool product, bool last) const {
    Block block;
    const T* starts[kRowBlock];
    const bool apart =
        call_.hidden_mask != nullptr || Cell::kGatedSums > 0;  // from what is passed on directly
    const Segments segments = split_ ? input_segments<Cell>(dims_.hidden)
                                     : hidden_segments<Cell>(dims_.hidden, 0, Weights::kFirstGates);
    const Cells cell = cell_;
    const PanelBackward<Cell, T> panel(cell, dims_.hidden);
    const bool plain = cell.plain() && !apart && !last;
    for (index_t first = begin; first < end; first += kRowBlock) {
      begin_block(block, step, first, end, product, last);
      for (index_t r = 0; r < block.count; ++r) {
        starts[r] = !apart                 ? block.dstate[0][r]
                    : Cell::kGatedSums > 0 ? buffers_.doperand + block.n[r] * units_
                                           : buffers_.zeros;
      }
      const auto arrived = [&](index_t r, index_t unit, V dh) {
        const index_t left = dims_.outputs() - unit;
        if (apart && product) {
          const T* const mask = call_.hidden_mask;
          if (mask != nullptr) dh = dh * load_up_to(mask + block.n[r] * dims_.outputs() + unit, left);
          dh = V::load(block.dstate[0][r] + unit) + dh;
        }
        if (block.cut[r]) {
          add_to_reset(0, block.n[r], unit, dh);
          dh = V::zero();
        }
        if (last) return dh.store(block.dstate[0][r] + unit);
        cell.act(block, r, unit, left, dh);
      };
      const auto panel_arrived = [&](index_t unit, const T* sums) {
        return plain && panel.act(block, unit, sums, arrived);
      };
      const auto arriving = [&](index_t r, index_t unit) { last ? void() : cell.prefetch(block, r, unit); };
      if (product) {
        dense_rows<T>(block.count, block.sums, own_units_.end, segments,
                      arguments_.packed + weights_.hidden_offset(), starts, arrived, panel_arrived, arriving,
                      own_units_.begin);
      } else {
        for (index_t r = 0; r < block.count; ++r) {
          for (index_t unit = own_units_.begin; unit < own_units_.end; unit += V::kLanes) {
            if (unit % kDenseWidth<T> == 0) arriving(r, unit + kDenseWidth<T>);
            arrived(r, unit, V::load(block.dstate[0][r] + unit));
          }
        }
      }
      if (last) continue;
      if (dims_.projection > 0) through_projection(block);
      for (index_t r = 0; normed_ && r < block.count; ++r) cell.act_normalised(block, r);
      if constexpr (Cell::kGatedSums > 0) through_gate(block);
    }
  }

  // Own samples first … before the step `step`, and the step before it unless this one is the stretch's
  // `last`.
  void begin_block(Block& block, index_t step, index_t first, index_t end, bool product, bool last) const {
    block.count = end - first < kRowBlock ? end - first : kRowBlock;
    block.any_cut = false;
    const index_t acting = step - 1, sums = split_ ? row_.second : row_.dsums;
    T* const behind = product ? tape(step, 0) + sums : nullptr;
    T* const taped = last ? nullptr : tape(acting, 0);
    T* const earlier = last || acting == kept_.begin ? nullptr : tape(acting - 1, 0);
    for (index_t r = 0; r < block.count; ++r) {
      const index_t position = own_.at(first + r), n = schedule_.sample(position);
      block.n[r] = n;
      block.group[r] = position / kGroupRows;
      if (product) block.sums[r] = behind + position * row_.stride;
      for (int s = 0; s < Cell::kStates; ++s) block.dstate[s][r] = dstate(s, n);
      block.cut[r] = product && schedule_.cut_before(n, step);
      block.any_cut = block.any_cut || block.cut[r];
      if (block.cut[r]) cut_other_states(n);
      if (last) continue;
      const index_t t = schedule_.time(n, acting);
      block.tape[r] = taped + position * row_.stride;
      block.h[r] = arguments_.y.at(n, t);
      block.dy[r] = arguments_.dy.data == nullptr ? nullptr : arguments_.dy.at(n, t);
      const bool cut = schedule_.cut_before(n, acting);
      for (int s = 0; s < Cell::kStates; ++s) {
        const bool on_tape = s > 0 && !cut && earlier != nullptr;
        block.previous[s][r] = on_tape
                                   ? earlier + position * row_.stride + row_.states + (s - 1) * dims_.hidden
                                   : state_before(s, n, acting, cut);
      }
      block.operand[r] = call_.hidden_mask != nullptr ? block.tape[r] + row_.operand : block.previous[0][r];
      const index_t place = share_.part * kRowBlock + r;
      block.line[r] = buffers_.lines + place * units_;
      for (int s = 0; call_.zoneout.training && s < Cell::kStates; ++s) {
        block.zoneout[s][r] = buffers_.zoneout + (place * Cell::kStates + s) * units_;
        if (call_.zoneout.rate[s] > 0) {
          random_row<T>(call_.zoneout.key[s], n, t, dims_.state_size(s), call_.zoneout.rate[s], T(1), T(0),
                        block.zoneout[s][r]);
        }
      }
    }
  }

  void cut_other_states(index_t n) const {
    for (int s = 1; s < Cell::kStates; ++s) {
      for (index_t unit = 0; unit < dims_.hidden; unit += V::kLanes) {
        add_to_reset(s, n, unit, V::load(dstate(s, n) + unit));
        V::zero().store(dstate(s, n) + unit);
      }
    }
  }

  // State s of sample n before a step, as the step saw it, where it is not on the tape.
  const T* state_before(int s, index_t n, index_t step, bool cut) const {
    if (s == 0) return hidden_before(arguments_, schedule_, n, step, buffers_.zeros);
    const T* from = nullptr;
    if (cut) {
      from = call_.reset_state[s];
    } else if (step == 0) {
      from = call_.state[s] == nullptr ? nullptr : call_.state[s] + n * dims_.state_size(s);
    } else {
      from = arguments_.checkpoints + checkpoint<Cell>(dims_, s, n, step);
    }
    return from == nullptr ? buffers_.zeros : from;
  }

  RNNFAST_INLINE void add_to_reset(int s, index_t n, index_t unit, V gradient) const {
    if (arguments_.dreset_state[s] == nullptr) return;
    const index_t size = dims_.state_size(s), left = size - unit;
    T* const to = arguments_.dreset_state[s] + n * size + unit;
    store_up_to(load_up_to(to, left) + gradient, to, left);
  }

  // dm = W_hr^T dh, then the cell.
  void through_projection(const Block& block) const {
    const Cells cell = cell_;
    const T *rows[kRowBlock], *starts[kRowBlock];
    for (index_t r = 0; r < block.count; ++r) {
      rows[r] = block.tape[r] + row_.dprojected;
      starts[r] = buffers_.zeros;
    }
    dense_rows<T>(block.count, rows, dims_.hidden, {1, {{0, dims_.projection}}},
                  arguments_.packed + weights_.projection_offset(), starts,
                  [&](index_t r, index_t unit, V dm) { cell.act_unprojected(block, r, unit, dm); });
  }

  // d(gate h') = W_hh^T dsums of the gates behind the gate, then the gate.
  void through_gate(const Block& block) const {
    const T *rows[kRowBlock], *starts[kRowBlock];
    for (index_t r = 0; r < block.count; ++r) {
      rows[r] = block.tape[r];
      starts[r] = buffers_.zeros;
    }
    const Segments behind = hidden_segments<Cell>(dims_.hidden, Weights::kFirstGates, Cell::kGates);
    dense_rows<T>(block.count, rows, dims_.hidden, behind, arguments_.packed + weights_.gated_offset(),
                  starts, [&](index_t r, index_t unit, V doperand) {
                    const index_t left = dims_.hidden - unit;
                    const V gate = load_up_to(block.tape[r] + unit, left);
                    V dsum;
                    Cell::gate_gradient(gate, load_up_to(block.operand[r] + unit, left), doperand, dsum);
                    store_up_to(dsum, block.tape[r] + unit, left);
                    doperand.store(buffers_.doperand + block.n[r] * units_ + unit);
                  });
  }

  const Arguments& arguments_;
  const api::RecurrentCall<T>& call_;
  const api::RecurrentDims& dims_;
  const Schedule<T>& schedule_;
  const Buffers& buffers_;
  const parallel::Range kept_, steps_;  // steps whose tape is there; those of this stretch
  const ScanShare share_;
  const OwnPositions own_;
  const parallel::Range own_units_;
  const Weights weights_;
  const TapeRow<Cell, T> row_;
  const index_t units_;
  const bool split_, normed_;
  const Cells cell_;
};

}  // namespace rnnfast::RNNFAST_ISA
