// What the contenders of `rnnfast bench blocks` export: one layer of one input and of a size fixed when compiled.
// Called through ctypes (python/rnnfast/cli/bench/native.py).
#pragma once

extern "C" {
// cell: lstm, gru or rnn_tanh. weight_ih [G*H], weight_hh [G*H, H], biases [G*H], gates in PyTorch's order.
// Returns nullptr for a cell or a size that there is none of. The state is zero.
void* layer_create(const char* cell, int hidden, const float* weight_ih, const float* weight_hh,
                   const float* bias_ih, const float* bias_hh);
// x [samples] to y [samples, H]; the state goes on.
void layer_process(void* layer, const float* x, float* y, int samples);
void layer_reset(void* layer);
void layer_destroy(void* layer);
}
