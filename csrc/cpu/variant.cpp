// The table of one CPU variant, the instruction set this file is compiled for. Instantiates the kernels that
// the files beside it do not: linear, losses, optimizers, masks, activations.
#include "api/kernel_table.hpp"
#include "cells/registry.hpp"
#include "cpu/recurrent.hpp"
#include "cpu/sequence_layers.hpp"
#include "kernels/activation.hpp"
#include "kernels/linear.hpp"
#include "kernels/loss.hpp"
#include "kernels/optimizer.hpp"
#include "kernels/random.hpp"

#define RNNFAST_TEXT_(x) #x
#define RNNFAST_TEXT(x) RNNFAST_TEXT_(x)

namespace rnnfast::RNNFAST_ISA {

RNNFAST_SEQUENCE_LAYERS(extern template)

namespace {

// Layer norm needs the hidden product whole before the cell acts, and its joint form one sum per gate.
template <class Cell>
constexpr api::CellFacts facts() {
  constexpr bool kWhole = Cell::kGatedSums == 0;
  api::CellFacts facts{Cell::name,
                       Cell::kGates,
                       Cell::kSums,
                       Cell::kStates,
                       Cell::kUnitWeights,
                       kWhole,
                       kWhole && Cell::kSums == Cell::kGates,
                       Cell::kOutputState > 0,
                       {},
                       {},
                       {}};
  for (int gate = 0; gate < Cell::kGates; ++gate) facts.gate_names[gate] = Cell::gates[gate];
  for (int state = 0; state < Cell::kStates; ++state) facts.state_names[state] = Cell::states[state];
  for (int k = 0; k < Cell::kUnitWeights; ++k) facts.unit_weight_names[k] = Cell::unit_weights[k];
  return facts;
}

template <class List>
struct Facts;
template <class... Cells>
struct Facts<CellList<Cells...>> {
  static constexpr api::CellFacts cells[] = {facts<Cells>()...};
};

template <class T>
constexpr api::KernelTable<T> table(const KernelsOfCells<T>& recurrent) {
  return {
      recurrent.data(),
      {LinearPass<T>::forward_workspace, LinearPass<T>::backward_workspace, LinearPass<T>::forward,
       LinearPass<T>::backward},
      {LossPass<T>::element_sum},
      {OptimizerPass<T>::sgd, OptimizerPass<T>::rmsprop, OptimizerPass<T>::adam,
       OptimizerPass<T>::sum_of_squares},
      {dropout_mask<T>},
      {ActivationPass<T>::sigmoid, ActivationPass<T>::tanh, ActivationPass<T>::relu, ActivationPass<T>::peak},
      {Conv1dForwardPass<T>::packed_size, Conv1dBackwardPass<T>::packed_size, Conv1dForwardPass<T>::pack,
       Conv1dBackwardPass<T>::pack, Conv1dForwardPass<T>::workspace, Conv1dBackwardPass<T>::workspace,
       Conv1dForwardPass<T>::run, Conv1dBackwardPass<T>::run},
      {WaveNetForwardPass<T>::packed_size, WaveNetBackwardPass<T>::packed_size, WaveNetForwardPass<T>::pack,
       WaveNetBackwardPass<T>::pack, WaveNetForwardPass<T>::workspace, WaveNetBackwardPass<T>::workspace,
       WaveNetForwardPass<T>::run, WaveNetBackwardPass<T>::run},
      {LayerNormPass<T>::backward_workspace, LayerNormPass<T>::forward, LayerNormPass<T>::backward},
      {EmbeddingPass<T>::forward, EmbeddingPass<T>::backward},
      {AttentionPass<T>::product_workspace, AttentionPass<T>::product, AttentionPass<T>::softmax_forward,
       AttentionPass<T>::softmax_backward},
  };
}

}  // namespace

extern const api::Variant variant;
constexpr api::Variant variant = {RNNFAST_TEXT(RNNFAST_ISA), count_of(AllCells{}), Facts<AllCells>::cells,
                                  table(recurrent_float), table(recurrent_double)};

}  // namespace rnnfast::RNNFAST_ISA
