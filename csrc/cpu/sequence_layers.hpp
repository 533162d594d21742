// The kernels that sequence_layers.cpp instantiates and variant.cpp only names.
#pragma once

#include "kernels/attention.hpp"
#include "kernels/conv1d_backward.hpp"
#include "kernels/embedding.hpp"
#include "kernels/layer_norm_rows.hpp"
#include "kernels/wavenet_backward.hpp"
#include "kernels/wavenet_forward.hpp"

// `template` instantiates, `extern template` says that it is done elsewhere.
#define RNNFAST_SEQUENCE_LAYERS_OF(instantiate, T) \
  instantiate class Conv1dForwardPass<T>;          \
  instantiate class Conv1dBackwardPass<T>;         \
  instantiate class WaveNetForwardPass<T>;         \
  instantiate class WaveNetBackwardPass<T>;        \
  instantiate class LayerNormPass<T>;              \
  instantiate struct EmbeddingPass<T>;             \
  instantiate class AttentionPass<T>;
#define RNNFAST_SEQUENCE_LAYERS(instantiate)     \
  RNNFAST_SEQUENCE_LAYERS_OF(instantiate, float) \
  RNNFAST_SEQUENCE_LAYERS_OF(instantiate, double)
