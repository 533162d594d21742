// Everything one variant (instruction set) offers, as plain data: the backend lists the tables explicitly,
// nothing registers itself. Cells appear in the order of cells/registry.hpp.
#pragma once

#include "api/activation.hpp"
#include "api/attention.hpp"
#include "api/conv1d.hpp"
#include "api/embedding.hpp"
#include "api/layer_norm.hpp"
#include "api/linear.hpp"
#include "api/loss.hpp"
#include "api/optimizer.hpp"
#include "api/random.hpp"
#include "api/recurrent.hpp"
#include "api/wavenet.hpp"

namespace rnnfast::api {

constexpr int kMostGates = 4;

// The facts of a cell that callers need.
struct CellFacts {
  const char* name;
  int gates, sums, states, unit_weights;
  bool split_norm, joint_norm;  // the layer norms that the cell has
  bool output_state;  // h is an output of another state: that has a norm under split, h a projection
  const char* gate_names[kMostGates];
  const char* state_names[kMostStates];
  const char* unit_weight_names[kMostGates];  // the gates they act on
};

template <class T>
struct KernelTable {
  const RecurrentKernels<T>* recurrent;  // [cell_count]
  LinearKernels<T> linear;
  LossKernels<T> loss;
  OptimizerKernels<T> optimizer;
  RandomKernels<T> random;
  ActivationKernels<T> activation;
  Conv1dKernels<T> conv1d;
  WaveNetKernels<T> wavenet;
  LayerNormKernels<T> layer_norm;
  EmbeddingKernels<T> embedding;
  AttentionKernels<T> attention;
};

struct Variant {
  const char* name;
  int cell_count;
  const CellFacts* cells;  // [cell_count]
  KernelTable<float> float32;
  KernelTable<double> float64;
};

}  // namespace rnnfast::api
