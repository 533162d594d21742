// Forward pass of a WaveNet stack: see api/wavenet.hpp.
//
// A block of 64 rows goes through a layer at once: the dilated products of filters and gates, z, the residual
// and the skip product, with nothing of it but x_{l+1}, skip and the tape leaving L1. Not here: gradients
// (wavenet_backward.hpp).
#pragma once

#include "kernels/wavenet_layout.hpp"
#include "math/activations.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
class WaveNetForwardPass : public PacksLayers<WaveNetForwardWeights<T>, T> {
  using V = Vec<T>;
  using Weights = WaveNetForwardWeights<T>;
  using Gates = typename Weights::Gates;
  using Columns = typename Weights::Columns;
  static constexpr index_t kWidth = Gates::kWidth;

  // Of one thread.
  struct Scratch {
    const T** rows;        // [K + 1, kRowBlock]
    Operand<T>* operands;  // [K + 1]
    T* sums;               // [kRowBlock, kWidth], or for one row all panels
    T* z;                  // [kRowBlock, line]
  };
  struct Buffers {
    T* zeros;
    T* inputs[2];  // [group, T, C] where there is no tape
    Scratch* scratch;
  };

  static index_t line(const api::WaveNetDims& dims) { return round_up(dims.channels, V::kLanes); }

  static Buffers lay_out(const api::WaveNetDims& dims, int threads, Arena<T>& arena) {
    const index_t group = samples_together(dims.batch, dims.steps, threads) * dims.steps * dims.channels;
    Buffers b{};
    b.zeros = arena.take(dims.channels);
    b.inputs[0] = arena.take(group);
    b.inputs[1] = arena.take(group);
    b.scratch = arena.template take_as<Scratch>(threads);
    const index_t panels = Weights(dims).gate_panels;
    for (int part = 0; part < threads; ++part) {
      Scratch s{};
      s.rows = arena.template take_as<const T*>((dims.kernel + 1) * kRowBlock);
      s.operands = arena.template take_as<Operand<T>>(dims.kernel + 1);
      s.sums = arena.take((panels > kRowBlock ? panels : kRowBlock) * kWidth);
      s.z = arena.take(kRowBlock * line(dims));
      if (s.z != nullptr) b.scratch[part] = s;
    }
    return b;
  }

  // One layer over a group of samples.
  struct Layer {
    api::Sequence<const T> x;  // [group, T, C]
    TimeRows<T> input;
    api::Sequence<const T> condition;
    const T* packed;
    index_t dilation;
    T* next;   // [group, T, C]; null: the last layer
    T* gates;  // [group, T, 2C] or null
    api::Sequence<T> skip;
    bool first;
  };

 public:
  static index_t workspace(const api::WaveNetDims& dims, int threads) {
    Arena<T> arena;
    lay_out(dims, threads, arena);
    return arena.used();
  }

  static void run(const api::WaveNetForward<T>& arguments) {
    const api::WaveNetCall<T>& call = arguments.call;
    const api::WaveNetDims& dims = call.dims;
    if (dims.batch == 0 || dims.steps == 0) return;
    Arena<T> arena(arguments.workspace);
    const Buffers buffers = lay_out(dims, call.threads, arena);
    for (index_t c = 0; c < dims.channels; ++c) buffers.zeros[c] = T(0);
    const Weights weights(dims);
    const index_t together = samples_together(dims.batch, dims.steps, call.threads);
    const index_t channels = dims.channels, sample = dims.steps * channels;
    for (index_t n = 0; n < dims.batch; n += together) {
      const index_t group = dims.batch - n < together ? dims.batch - n : together;
      api::Sequence<const T> x{call.x.at(n, 0), call.x.batch_stride, call.x.time_stride};
      T* ring = arguments.ring;
      for (index_t l = 0; l < dims.layers; ++l) {
        const index_t capacity = dims.capacity(l);
        const api::History<T> history{ring == nullptr ? nullptr : ring + n * capacity * channels, capacity,
                                      capacity > 0 ? static_cast<index_t>(arguments.position % capacity) : 0};
        Layer layer{};
        layer.x = x;
        layer.input = {x, dims.steps, channels, buffers.zeros, history.ring, capacity, history.position};
        layer.condition = {call.condition.data == nullptr ? nullptr : call.condition.at(n, 0),
                           call.condition.batch_stride, call.condition.time_stride};
        layer.packed = call.packed + l * weights.size();
        layer.dilation = dims.dilations[l];
        if (l + 1 < dims.layers)
          layer.next = arguments.inputs == nullptr ? buffers.inputs[l % 2]
                                                   : arguments.inputs + (l * dims.batch + n) * sample;
        layer.gates =
            arguments.gates == nullptr ? nullptr : arguments.gates + 2 * (l * dims.batch + n) * sample;
        layer.skip = {arguments.skip.at(n, 0), arguments.skip.batch_stride, arguments.skip.time_stride};
        layer.first = l == 0;
        const double operations = 2.0 * static_cast<double>(channels) *
                                  static_cast<double>(2 * weights.gate_depth + channels + dims.skip_channels);
        for_each_block(call.threads, group * dims.steps, operations, Gates::kRows,
                       [&](index_t first, index_t count, int part) {
                         block(dims, weights, layer, first, count, buffers.scratch[part]);
                       });
        if (ring != nullptr) {
          if (capacity > 0) remember(x, group, dims.steps, channels, history);
          ring += dims.batch * capacity * channels;
        }
        x = {layer.next, sample, channels};
      }
    }
  }

 private:
  static void block(const api::WaveNetDims& dims, const Weights& weights, const Layer& layer, index_t first,
                    index_t count, const Scratch& scratch) {
    const index_t channels = dims.channels, columns = line(dims);
    RowWalk walk(first, dims.steps);
    const T *own[kRowBlock], *z[kRowBlock];
    T* skip[kRowBlock];
    for (index_t r = 0; r < count; ++r, walk.next()) {
      own[r] = layer.x.at(walk.n, walk.t);
      z[r] = scratch.z + r * columns;
      skip[r] = layer.skip.at(walk.n, walk.t);
      for (index_t k = 0; k < dims.kernel; ++k)
        scratch.rows[k * kRowBlock + r] =
            layer.input.at(walk.n, walk.t - (dims.kernel - 1 - k) * layer.dilation);
      if (dims.condition > 0) scratch.rows[dims.kernel * kRowBlock + r] = layer.condition.at(walk.n, walk.t);
    }
    index_t operand_count = dims.kernel;
    for (index_t k = 0; k < dims.kernel; ++k)
      scratch.operands[k] = {scratch.rows + k * kRowBlock, channels, k * channels};
    if (dims.condition > 0) {
      scratch.operands[operand_count++] = {scratch.rows + dims.kernel * kRowBlock, dims.condition,
                                           dims.kernel * channels};
    }
    // Panel by panel the sums rest in L1 before the activations: in loops, where the rows hide their latency.
    const index_t step = count == 1 ? weights.gate_panels : 1;
    T* const gates = layer.gates == nullptr ? nullptr : layer.gates + first * 2 * channels;
    for (index_t panel = 0; panel < weights.gate_panels; panel += step) {
      const T* const start = layer.packed + panel * kWidth;
      Gates::run(
          count, scratch.operands, operand_count,
          layer.packed + weights.gates() + panel * kWidth * weights.gate_depth, weights.gate_depth, step,
          [&](index_t, index_t p, int c) { return V::load(start + p * kWidth + c * V::kLanes); },
          [&](index_t row, index_t p, const V* sums) {
            for (int c = 0; c < kDenseVectors; ++c)
              sums[c].store(scratch.sums + (p * count + row) * kWidth + c * V::kLanes);
          });
      for (index_t p = 0; p < step; ++p)
        gate(scratch.sums + p * count * kWidth, count, panel + p, channels, columns, scratch.z, gates);
    }
    affine(layer, weights, count, z, own, skip, first);
  }

  // z = tanh(f) sigmoid(g) for one panel of channels.
  static void gate(const T* sums, index_t count, index_t panel, index_t channels, index_t columns, T* z,
                   T* gates) {
    const index_t unit = panel * V::kLanes;
    for (index_t r = 0; r < count; ++r) {
      const V filter = tanh(V::load(sums + r * kWidth)),
              own = sigmoid(V::load(sums + r * kWidth + V::kLanes));
      (filter * own).store(z + r * columns + unit);
      if (gates != nullptr) {
        store_up_to(filter, gates + r * 2 * channels + unit, channels - unit);
        store_up_to(own, gates + r * 2 * channels + channels + unit, channels - unit);
      }
    }
  }

  // x_{l+1} and skip from z.
  static void affine(const Layer& layer, const Weights& weights, index_t count, const T* const* z,
                     const T* const* own, T* const* skip, index_t first) {
    const index_t channels = weights.channels;
    const Operand<T> operand{z, channels, 0};
    if (layer.next != nullptr) {
      const T* const bias = layer.packed + weights.residual_start();
      T* const next = layer.next + first * channels;
      Columns::run(
          count, &operand, 1, layer.packed + weights.residual(), channels, channels,
          [&](index_t row, index_t column) {
            return load_up_to(own[row] + column, channels - column) + V::load(bias + column);
          },
          [&](index_t row, index_t column, V sum) {
            store_up_to(sum, next + row * channels + column, channels - column);
          });
    }
    const T* const bias = layer.packed + weights.skip_start();
    const index_t skip_channels = weights.skip_channels;
    Columns::run(
        count, &operand, 1, layer.packed + weights.skip(), channels, skip_channels,
        [&](index_t row, index_t column) {
          const V start = V::load(bias + column);
          return layer.first ? start : load_up_to(skip[row] + column, skip_channels - column) + start;
        },
        [&](index_t row, index_t column, V sum) {
          store_up_to(sum, skip[row] + column, skip_channels - column);
        });
  }
};

}  // namespace rnnfast::RNNFAST_ISA
