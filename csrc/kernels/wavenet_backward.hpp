// Backward pass of a WaveNet stack: see api/wavenet.hpp. With dx_{l+1} the gradient of x_{l+1}, from the last
// layer to the first:
//   dz = W_r^T dx_{l+1} + W_s^T dskip
//   df = dz sigmoid(g) (1 - tanh(f)^2),  dg = dz tanh(f) sigmoid(g) (1 - sigmoid(g))
//   dx_l = dx_{l+1} + W^T * (df, dg)     the convolution turned round in time
//   dW = (df, dg) x taps,  dW_r = dx_{l+1} x z,  dW_s = dskip x z
// df and dg take the places of tanh and sigmoid on the tape. Weight gradients run over rows in ascending
// order, from group to group of samples, as one chain.
#pragma once

#include "kernels/column_sums.hpp"
#include "kernels/wavenet_layout.hpp"
#include "kernels/weight_gradient.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
class WaveNetBackwardPass : public PacksLayers<WaveNetBackwardWeights<T>, T> {
  using V = Vec<T>;
  using Weights = WaveNetBackwardWeights<T>;
  using Columns = typename Weights::Columns;
  using Part = typename GatheredRows<T>::Part;
  static constexpr index_t kCacheLine = 64 / sizeof(T);

  struct Scratch {         // of one thread
    const T** rows;        // [K, kRowBlock], at least two
    Operand<T>* operands;  // as many
  };
  struct Buffers {
    T* zeros;         // [2C]
    T *z, *dx;        // [group, T, C]
    T* taps;          // [L, 2C, K C + Q]: gradients of all dilated products, taps outermost
    const T** table;  // [K + 2, group T]: rows of the taps, of the condition, of dskip
    Part* parts;      // [K + 1]
    Scratch* scratch;
    T* products;
  };

  static index_t columns_of(const api::WaveNetDims& dims) {
    return dims.kernel * dims.channels + dims.condition;
  }

  static Buffers lay_out(const api::WaveNetDims& dims, int threads, Arena<T>& arena) {
    const index_t rows = samples_together(dims.batch, dims.steps, threads) * dims.steps;
    const index_t operands = dims.kernel > 2 ? dims.kernel : 2;
    Buffers b{};
    b.zeros = arena.take(2 * dims.channels);
    b.z = arena.take(rows * dims.channels);
    b.dx = arena.take(rows * dims.channels);
    b.taps = arena.take(dims.layers * 2 * dims.channels * columns_of(dims));
    b.table = arena.template take_as<const T*>((dims.kernel + 2) * rows);
    b.parts = arena.template take_as<Part>(dims.kernel + 1);
    b.scratch = arena.template take_as<Scratch>(threads);
    for (int part = 0; part < threads; ++part) {
      Scratch s{};
      s.rows = arena.template take_as<const T*>(operands * kRowBlock);
      s.operands = arena.template take_as<Operand<T>>(operands);
      if (s.operands != nullptr) b.scratch[part] = s;
    }
    b.products = arena.take(threads * weight_gradient_workspace<T>());
    return b;
  }

  // One layer over a group of samples, whose rows are numbered from 0.
  struct Layer {
    index_t rows;
    api::Sequence<const T> x, condition, dskip;
    const T* packed;
    T* gates;  // [rows, 2C]: tanh and sigmoid, then df and dg
    index_t dilation;
    bool first, last;  // of the stack
    Sums sums;
    api::Sequence<T> dx, dcondition;
  };

 public:
  static index_t workspace(const api::WaveNetDims& dims, int threads) {
    Arena<T> arena;
    lay_out(dims, threads, arena);
    return arena.used();
  }

  static void run(const api::WaveNetBackward<T>& arguments) {
    const FlushDenormals flush;
    const api::WaveNetCall<T>& call = arguments.call;
    const api::WaveNetDims& dims = call.dims;
    Arena<T> arena(arguments.workspace);
    const Buffers buffers = lay_out(dims, call.threads, arena);
    for (index_t c = 0; c < 2 * dims.channels; ++c) buffers.zeros[c] = T(0);
    const Weights weights(dims);
    const index_t together = samples_together(dims.batch, dims.steps, call.threads);
    const index_t channels = dims.channels, sample = dims.steps * channels;
    index_t n = 0;
    do {  // once even for no samples: gradients are zeros then
      const index_t group = dims.batch - n < together ? dims.batch - n : together;
      for (index_t l = dims.layers - 1; l >= 0; --l) {
        Layer layer{};
        layer.rows = group * dims.steps;
        layer.x = l == 0 ? from(call.x, n)
                         : api::Sequence<const T>{arguments.inputs + ((l - 1) * dims.batch + n) * sample,
                                                  sample, channels};
        layer.condition = from(call.condition, n);
        layer.dskip = from(arguments.dskip, n);
        layer.packed = call.packed + l * weights.size();
        layer.gates = arguments.gates + 2 * (l * dims.batch + n) * sample;
        layer.dilation = dims.dilations[l];
        layer.first = l == 0;
        layer.last = l + 1 == dims.layers;
        layer.sums = n == 0 ? Sums::kFresh : Sums::kContinued;
        layer.dx = layer.first ? from(arguments.dx, n) : api::Sequence<T>{buffers.dx, sample, channels};
        layer.dcondition = from(arguments.dcondition, n);
        pointwise(dims, weights, layer, call.threads, buffers);
        weight_gradients(dims, layer, call.threads, buffers, arguments.gradients[l],
                         buffers.taps + l * 2 * channels * columns_of(dims));
        input_gradients(dims, weights, layer, call.threads, buffers);
      }
      n += together;
    } while (n < dims.batch);
    for (index_t l = 0; l < dims.layers; ++l)
      unfold(dims, buffers.taps + l * 2 * channels * columns_of(dims), arguments.gradients[l]);
  }

 private:
  template <class U>
  static api::Sequence<U> from(const api::Sequence<U>& all, index_t n) {
    return {all.data == nullptr ? nullptr : all.at(n, 0), all.batch_stride, all.time_stride};
  }

  // z, df and dg of every row.
  static void pointwise(const api::WaveNetDims& dims, const Weights& weights, const Layer& layer, int threads,
                        const Buffers& buffers) {
    const index_t channels = dims.channels;
    const double operations = 2.0 * static_cast<double>(channels) * static_cast<double>(weights.unit_depth);
    for_each_block(threads, layer.rows, operations, Columns::kRows,
                   [&](index_t first, index_t count, int part) {
                     const Scratch& scratch = buffers.scratch[part];
                     RowWalk walk(first, dims.steps);
                     for (index_t r = 0; r < count; ++r, walk.next()) {
                       scratch.rows[r] = buffers.dx + (first + r) * channels;
                       scratch.rows[kRowBlock + r] = layer.dskip.at(walk.n, walk.t);
                       // The tape comes from memory row by row, in pieces: too many streams for the
                       // hardware to foresee.
                       for (index_t c = 0; c < 2 * channels; c += kCacheLine)
                         __builtin_prefetch(layer.gates + (first + r) * 2 * channels + c, 1, 2);
                     }
                     index_t operands = 0;
                     if (!layer.last) scratch.operands[operands++] = {scratch.rows, channels, 0};
                     scratch.operands[operands++] = {scratch.rows + kRowBlock, dims.skip_channels, channels};
                     const V one = V::broadcast(1);
                     Columns::run(
                         count, scratch.operands, operands, layer.packed, weights.unit_depth, channels,
                         [](index_t, index_t) { return V::zero(); },
                         [&](index_t row, index_t unit, V dz) {
                           const index_t left = channels - unit;
                           T* const filter = layer.gates + (first + row) * 2 * channels + unit;
                           T* const gate = filter + channels;
                           const V f = load_up_to(filter, left), g = load_up_to(gate, left), z = f * g;
                           store_up_to(z, buffers.z + (first + row) * channels + unit, left);
                           store_up_to(dz * (g * (one - f * f)), filter, left);
                           store_up_to(dz * (z * (one - g)), gate, left);
                         });
                   });
  }

  static void weight_gradients(const api::WaveNetDims& dims, const Layer& layer, int threads,
                               const Buffers& buffers, const api::WaveNetLayer<T>& gradients, T* taps) {
    const index_t channels = dims.channels, rows = layer.rows;
    const TimeRows<T> input{layer.x, dims.steps, channels, buffers.zeros, nullptr, 0, 0};
    const T** const condition = buffers.table + dims.kernel * rows;
    const T** const skip = condition + rows;
    RowWalk walk(0, dims.steps);
    for (index_t row = 0; row < rows; ++row, walk.next()) {
      for (index_t k = 0; k < dims.kernel; ++k)
        buffers.table[k * rows + row] = input.at(walk.n, walk.t - (dims.kernel - 1 - k) * layer.dilation);
      if (dims.condition > 0) condition[row] = layer.condition.at(walk.n, walk.t);
      skip[row] = layer.dskip.at(walk.n, walk.t);
    }
    for (index_t k = 0; k < dims.kernel; ++k) buffers.parts[k] = {buffers.table + k * rows, channels};
    buffers.parts[dims.kernel] = {condition, dims.condition};
    const Rows<const T> dgates{layer.gates, 2 * channels}, z{buffers.z, channels}, dskip{nullptr, 0, skip};
    weight_gradient<T>(threads, 2 * channels, columns_of(dims), rows, dgates, GatheredRows<T>{buffers.parts},
                       taps, buffers.products, layer.sums);
    column_sums<T>(threads, 2 * channels, rows, dgates, gradients.bias, layer.sums);
    if (!layer.last) {
      const Rows<const T> dnext{buffers.dx, channels};
      weight_gradient<T>(threads, channels, channels, rows, dnext, z, gradients.weight_residual,
                         buffers.products, layer.sums);
      column_sums<T>(threads, channels, rows, dnext, gradients.bias_residual, layer.sums);
    }
    weight_gradient<T>(threads, dims.skip_channels, channels, rows, dskip, z, gradients.weight_skip,
                       buffers.products, layer.sums);
    column_sums<T>(threads, dims.skip_channels, rows, dskip, gradients.bias_skip, layer.sums);
  }

  // dx_l, in the place of dx_{l+1} except for the first layer, and what the condition gets from this layer.
  static void input_gradients(const api::WaveNetDims& dims, const Weights& weights, const Layer& layer,
                              int threads, const Buffers& buffers) {
    const index_t channels = dims.channels;
    const TimeRows<T> dgates{{layer.gates, dims.steps * 2 * channels, 2 * channels},
                             dims.steps,
                             2 * channels,
                             buffers.zeros,
                             nullptr,
                             0,
                             0};
    const double operations =
        2.0 * static_cast<double>(channels) * static_cast<double>(weights.tap_depth + 2 * dims.condition);
    for_each_block(
        threads, layer.rows, operations, Columns::kRows, [&](index_t first, index_t count, int part) {
          const Scratch& scratch = buffers.scratch[part];
          T* outputs[kRowBlock];
          T* conditions[kRowBlock];
          RowWalk walk(first, dims.steps);
          for (index_t r = 0; r < count; ++r, walk.next()) {
            outputs[r] = layer.dx.at(walk.n, walk.t);
            conditions[r] = layer.dcondition.data == nullptr ? nullptr : layer.dcondition.at(walk.n, walk.t);
            for (index_t k = 0; k < dims.kernel; ++k)
              scratch.rows[k * kRowBlock + r] =
                  dgates.at(walk.n, walk.t + (dims.kernel - 1 - k) * layer.dilation);
          }
          for (index_t k = 0; k < dims.kernel; ++k)
            scratch.operands[k] = {scratch.rows + k * kRowBlock, 2 * channels, k * 2 * channels};
          const T* const carried = layer.last ? nullptr : buffers.dx + first * channels;
          Columns::run(
              count, scratch.operands, dims.kernel, layer.packed + weights.taps(), weights.tap_depth,
              channels,
              [&](index_t row, index_t column) {
                return carried == nullptr ? V::zero()
                                          : load_up_to(carried + row * channels + column, channels - column);
              },
              [&](index_t row, index_t column, V sum) {
                store_up_to(sum, outputs[row] + column, channels - column);
              });
          if (layer.dcondition.data == nullptr) return;
          // The last tap reads the row's own df and dg.
          const Operand<T> own{scratch.rows + (dims.kernel - 1) * kRowBlock, 2 * channels, 0};
          Columns::run(
              count, &own, 1, layer.packed + weights.condition(), weights.gate_rows, dims.condition,
              [&](index_t row, index_t column) {
                return layer.last ? V::zero() : load_up_to(conditions[row] + column, dims.condition - column);
              },
              [&](index_t row, index_t column, V sum) {
                store_up_to(sum, conditions[row] + column, dims.condition - column);
              });
        });
  }

  // From taps outermost to the layout of the weights.
  static void unfold(const api::WaveNetDims& dims, const T* taps, const api::WaveNetLayer<T>& gradients) {
    const index_t channels = dims.channels;
    for (index_t row = 0; row < 2 * channels; ++row, taps += columns_of(dims)) {
      for (index_t k = 0; k < dims.kernel; ++k) {
        for (index_t c = 0; c < channels; ++c)
          gradients.weight[(row * channels + c) * dims.kernel + k] = taps[k * channels + c];
      }
      for (index_t q = 0; q < dims.condition; ++q)
        gradients.weight_condition[row * dims.condition + q] = taps[dims.kernel * channels + q];
    }
  }
};

}  // namespace rnnfast::RNNFAST_ISA
