// What the two passes of a WaveNet stack share: the packed weights of a layer, groups of samples, blocks.
#pragma once

#include "api/wavenet.hpp"
#include "base/denormals.hpp"
#include "base/parallel.hpp"
#include "kernels/gathered_product.hpp"
#include "kernels/product.hpp"
#include "kernels/time_rows.hpp"

namespace rnnfast::RNNFAST_ISA {

// Packed for forward: sums start from biases, which lie before each matrix. Filters and gates of the same
// channels lie side by side in panels of two vectors.
template <class T>
struct WaveNetForwardWeights {
  using V = Vec<T>;
  using Gates = GatheredProduct<T, 2>;
  using Columns = ColumnProduct<T>;
  index_t gate_panels, gate_depth, channels, skip_channels;

  explicit WaveNetForwardWeights(const api::WaveNetDims& dims)
      : gate_panels(ceil_div(dims.channels, V::kLanes)),
        gate_depth(dims.kernel * dims.channels + dims.condition),
        channels(dims.channels),
        skip_channels(dims.skip_channels) {}

  index_t gates() const { return gate_panels * Gates::kWidth; }
  index_t residual_start() const { return gates() * (1 + gate_depth); }
  index_t residual() const { return residual_start() + Columns::padded(channels); }
  index_t skip_start() const { return residual() + Columns::size(channels, channels); }
  index_t skip() const { return skip_start() + Columns::padded(skip_channels); }
  index_t size() const { return skip() + Columns::size(skip_channels, channels); }

  void pack(const api::WaveNetDims& dims, const api::WaveNetLayer<const T>& layer, T* packed) const {
    const index_t taps = dims.kernel * channels;
    // Lane l of a gate panel: filter of channel l, then gate of channel l - lanes.
    const auto row_of = [&](index_t panel, index_t lane) {
      const index_t unit = panel * V::kLanes + lane % V::kLanes;
      return unit < channels ? lane / V::kLanes * channels + unit : index_t{-1};
    };
    pack_panels(gate_panels, Gates::kWidth, 1, packed, [&](index_t panel, index_t lane, index_t) {
      const index_t row = row_of(panel, lane);
      return row >= 0 ? layer.bias[row] : T(0);
    });
    pack_panels(gate_panels, Gates::kWidth, gate_depth, packed + gates(),
                [&](index_t panel, index_t lane, index_t k) {
                  const index_t row = row_of(panel, lane);
                  if (row < 0) return T(0);
                  if (k >= taps) return layer.weight_condition[row * dims.condition + k - taps];
                  return layer.weight[(row * channels + k % channels) * dims.kernel + k / channels];
                });
    if (layer.weight_residual != nullptr)
      pack_affine(channels, layer.weight_residual, layer.bias_residual, packed + residual_start());
    pack_affine(skip_channels, layer.weight_skip, layer.bias_skip, packed + skip_start());
  }

 private:
  void pack_affine(index_t outputs, const T* weight, const T* bias, T* packed) const {
    copy_padded(packed, Columns::padded(outputs), bias, outputs);
    Columns::pack(outputs, channels, packed + Columns::padded(outputs),
                  [&](index_t o, index_t c) { return weight[o * channels + c]; });
  }
};

// Packed for backward: from the gradients of x_{l+1} and skip to that of z; from that of filters and gates to
// those of x_l and of the condition.
template <class T>
struct WaveNetBackwardWeights {
  using Columns = ColumnProduct<T>;
  index_t channels, condition_size, unit_depth, tap_depth, gate_rows;

  explicit WaveNetBackwardWeights(const api::WaveNetDims& dims)
      : channels(dims.channels),
        condition_size(dims.condition),
        unit_depth(dims.channels + dims.skip_channels),
        tap_depth(2 * dims.channels * dims.kernel),
        gate_rows(2 * dims.channels) {}

  index_t taps() const { return Columns::size(channels, unit_depth); }
  index_t condition() const { return taps() + Columns::size(channels, tap_depth); }
  index_t size() const { return condition() + Columns::size(condition_size, gate_rows); }

  void pack(const api::WaveNetDims& dims, const api::WaveNetLayer<const T>& layer, T* packed) const {
    Columns::pack(channels, unit_depth, packed, [&](index_t c, index_t k) {
      if (k >= channels) return layer.weight_skip[(k - channels) * channels + c];
      return layer.weight_residual != nullptr ? layer.weight_residual[k * channels + c] : T(0);
    });
    Columns::pack(channels, tap_depth, packed + taps(), [&](index_t c, index_t k) {
      return layer.weight[(k % gate_rows * channels + c) * dims.kernel + k / gate_rows];
    });
    Columns::pack(condition_size, gate_rows, packed + condition(),
                  [&](index_t q, index_t k) { return layer.weight_condition[k * condition_size + q]; });
  }
};

// Packing of all layers of a stack, one behind the other.
template <class Weights, class T>
struct PacksLayers {
  static index_t packed_size(const api::WaveNetDims& dims) { return Weights(dims).size(); }

  static void pack(const api::WaveNetPacking<T>& packing) {
    const Weights weights(packing.dims);
    for (index_t l = 0; l < packing.dims.layers; ++l)
      weights.pack(packing.dims, packing.layers[l], packing.packed + l * weights.size());
  }
};

// Samples that go through all layers together: few, so that their rows stay in L2 from layer to layer, but
// enough rows for all threads. The numbers do not depend on it.
inline index_t samples_together(index_t batch, index_t steps, int threads) {
  constexpr index_t kRowsPerThread = 512;
  const index_t wanted = steps > 0 ? ceil_div(kRowsPerThread * threads, steps) : batch;
  const index_t group = wanted > threads ? wanted : threads;
  return group < batch ? group : batch > 0 ? batch : 1;
}

}  // namespace rnnfast::RNNFAST_ISA
