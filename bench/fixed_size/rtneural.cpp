// RTNeural's layers of fixed size behind layer.h. -DRTNEURAL_USE_EIGEN=1 or -DRTNEURAL_USE_XSIMD=1 picks what
// they are made of. RTNeural has no plain RNN. Not here: RTNeural itself (`--rtneural FOLDER`).

#include <RTNeural/RTNeural.h>

#include <cstring>
#include <vector>

#include "layer.h"

namespace {

using Rows = std::vector<std::vector<float>>;

// [gates*H, columns] to [columns][gates*H].
Rows transposed(const float* weights, int rows, int columns) {
  Rows result(columns, std::vector<float>(rows));
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column) result[column][row] = weights[row * columns + column];
  return result;
}

// The gates r and z change places.
Rows swapped(Rows rows, int hidden) {
  for (auto& row : rows) std::swap_ranges(row.begin(), row.begin() + hidden, row.begin() + hidden);
  return rows;
}

struct Layer {
  virtual ~Layer() = default;
  virtual void reset() = 0;
  virtual void process(const float* x, float* y, int samples) = 0;
};

template <class Kind, int H>
struct Fixed final : Layer {
  RTNeural::ModelT<float, 1, H, Kind> model;
  Fixed() { model.reset(); }
  Kind& layer() { return model.template get<0>(); }
  void reset() override { model.reset(); }
  void process(const float* x, float* y, int samples) override {
    for (int sample = 0; sample < samples; ++sample) {
      alignas(RTNEURAL_DEFAULT_ALIGNMENT) float input[16] = {x[sample]};
      model.forward(input);
      std::memcpy(y + sample * H, model.getOutputs(), H * sizeof(float));
    }
  }
};

template <int H>
Layer* lstm(const float* weight_ih, const float* weight_hh, const float* bias_ih, const float* bias_hh) {
  auto* made = new Fixed<RTNeural::LSTMLayerT<float, 1, H>, H>();
  std::vector<float> bias(bias_ih, bias_ih + 4 * H);
  for (int row = 0; row < 4 * H; ++row) bias[row] += bias_hh[row];
  made->layer().setWVals(transposed(weight_ih, 4 * H, 1));
  made->layer().setUVals(transposed(weight_hh, 4 * H, H));
  made->layer().setBVals(bias);
  return made;
}

template <int H>
Layer* gru(const float* weight_ih, const float* weight_hh, const float* bias_ih, const float* bias_hh) {
  auto* made = new Fixed<RTNeural::GRULayerT<float, 1, H>, H>();
  Rows bias{{bias_ih, bias_ih + 3 * H}, {bias_hh, bias_hh + 3 * H}};
  made->layer().setWVals(swapped(transposed(weight_ih, 3 * H, 1), H));
  made->layer().setUVals(swapped(transposed(weight_hh, 3 * H, H), H));
  made->layer().setBVals(swapped(bias, H));
  return made;
}

}  // namespace

void* layer_create(const char* cell, int hidden, const float* weight_ih, const float* weight_hh,
                   const float* bias_ih, const float* bias_hh) {
  const bool is_lstm = !std::strcmp(cell, "lstm");
  if (!is_lstm && std::strcmp(cell, "gru")) return nullptr;
  const auto make = [&](auto* of_lstm, auto* of_gru) -> Layer* {
    return (is_lstm ? of_lstm : of_gru)(weight_ih, weight_hh, bias_ih, bias_hh);
  };
  switch (hidden) {
    case 16:
      return make(lstm<16>, gru<16>);
    case 32:
      return make(lstm<32>, gru<32>);
    case 64:
      return make(lstm<64>, gru<64>);
    default:
      return nullptr;
  }
}
void layer_process(void* layer, const float* x, float* y, int samples) {
  static_cast<Layer*>(layer)->process(x, y, samples);
}
void layer_reset(void* layer) { static_cast<Layer*>(layer)->reset(); }
void layer_destroy(void* layer) { delete static_cast<Layer*>(layer); }
