// One recurrent layer of oneDNN behind a plain C interface, for `rnnfast bench kernels --against onednn`: the
// strongest CPU peer there is, without a framework around it. Weights are packed once, in the layout that the
// primitive asks for; x, y and all gradients are plain arrays of the caller, time-major. oneDNN adds to the
// gradients of weights, so a training step begins by clearing them. Not here: copies between layouts of x
// and y, which are not timed, to oneDNN's advantage; packing of changed weights, which ours is compared
// without.

#include <omp.h>

#include <cstring>
#include <dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

using namespace dnnl;
using Tag = memory::format_tag;
using Type = memory::data_type;

namespace {

struct Arrays {
  // x [T,N,I], weight_ih [I,G,H], weight_hh [H,G,H], bias [G',H], y [T,N,H], dy like y, and their gradients.
  void *x, *weight_ih, *weight_hh, *bias, *y, *dy, *dx, *dweight_ih, *dweight_hh, *dbias;
};

struct Sizes {
  int steps, batch, inputs, hidden, gates, bias_gates, threads, training;
};

struct Layer {
  engine cpu{engine::kind::cpu, 0};
  stream queue{cpu};
  Sizes sizes;
  Arrays arrays;
  std::vector<std::pair<primitive, std::unordered_map<int, memory>>> inference, training;

  Layer(const std::string& cell, const Sizes& sizes, const Arrays& arrays) : sizes(sizes), arrays(arrays) {
    if (cell == "lstm")
      build<lstm_forward, lstm_backward>(cell);
    else if (cell == "gru")
      build<lbr_gru_forward, lbr_gru_backward>(cell);
    else
      build<vanilla_rnn_forward, vanilla_rnn_backward>(cell);
  }

  memory::desc plain(memory::dims dims, Tag tag) const { return {dims, Type::f32, tag}; }
  memory of(const memory::desc& desc, void* values) const { return {desc, cpu, values}; }
  memory packed(memory from, const memory::desc& desc) {
    memory to(desc, cpu);
    reorder(from, to).execute(queue, from, to);
    queue.wait();
    return to;
  }

  template <class Forward, class Backward>
  void build(const std::string& cell) {
    const memory::dim T = sizes.steps, N = sizes.batch, I = sizes.inputs, H = sizes.hidden;
    const memory::dims ih{1, 1, I, sizes.gates, H}, hh{1, 1, H, sizes.gates, H}, b{1, 1, sizes.bias_gates, H};
    const auto x = plain({T, N, I}, Tag::tnc), y = plain({T, N, H}, Tag::tnc), bias = plain(b, Tag::ldgo);
    const auto any_ih = plain(ih, Tag::any), any_hh = plain(hh, Tag::any);
    const auto plain_ih = plain(ih, Tag::ldigo), plain_hh = plain(hh, Tag::ldigo);
    // A zero initial state, said explicitly: without one oneDNN 3.2 gives wrong gradients of hidden weights,
    // of LSTM and RNN. Its gradient is computed too, as ours is.
    const auto state = plain({1, 1, N, H}, Tag::ldnc);
    const memory::desc none;
    const auto one = rnn_direction::unidirectional_left2right;
    const auto forward = [&](prop_kind kind) {
      if constexpr (std::is_same_v<Forward, lstm_forward>)
        return lstm_forward::primitive_desc(cpu, kind, one, x, state, state, any_ih, any_hh, bias, y, none,
                                            none);
      else if constexpr (std::is_same_v<Forward, lbr_gru_forward>)
        return lbr_gru_forward::primitive_desc(cpu, kind, one, x, state, any_ih, any_hh, bias, y, none);
      else
        return vanilla_rnn_forward::primitive_desc(cpu, kind, activation(cell), one, x, state, any_ih, any_hh,
                                                   bias, y, none);
    };
    const auto from_ih = of(plain_ih, arrays.weight_ih), from_hh = of(plain_hh, arrays.weight_hh);
    const auto zeros = [&] {
      memory made(state, cpu);
      std::memset(made.get_data_handle(), 0, state.get_size());
      return made;
    };
    const auto inputs = [&](auto& desc) {
      std::unordered_map<int, memory> words{
          {DNNL_ARG_SRC_LAYER, of(x, arrays.x)},
          {DNNL_ARG_SRC_ITER, zeros()},
          {DNNL_ARG_WEIGHTS_LAYER, packed(from_ih, desc.weights_layer_desc())},
          {DNNL_ARG_WEIGHTS_ITER, packed(from_hh, desc.weights_iter_desc())},
          {DNNL_ARG_BIAS, of(bias, arrays.bias)},
          {DNNL_ARG_DST_LAYER, of(y, arrays.y)}};
      if (cell == "lstm") words.insert({DNNL_ARG_SRC_ITER_C, zeros()});
      return words;
    };
    auto infer = forward(prop_kind::forward_inference);
    inference.emplace_back(Forward(infer), inputs(infer));
    if (!sizes.training) return;
    auto train = forward(prop_kind::forward_training);
    const auto back = [&] {
      const auto kind = prop_kind::backward;
      if constexpr (std::is_same_v<Forward, lstm_forward>)
        return lstm_backward::primitive_desc(cpu, kind, one, x, state, state, any_ih, any_hh, bias, y, none,
                                             none, x, state, state, plain_ih, plain_hh, bias, y, none, none,
                                             train);
      else if constexpr (std::is_same_v<Forward, lbr_gru_forward>)
        return lbr_gru_backward::primitive_desc(cpu, kind, one, x, state, any_ih, any_hh, bias, y, none, x,
                                                state, plain_ih, plain_hh, bias, y, none, train);
      else
        return vanilla_rnn_backward::primitive_desc(cpu, kind, activation(cell), one, x, state, any_ih,
                                                    any_hh, bias, y, none, x, state, plain_ih, plain_hh, bias,
                                                    y, none, train);
    }();
    auto first = inputs(train), second = inputs(back);
    const memory workspace(train.workspace_desc(), cpu);
    first.insert({DNNL_ARG_WORKSPACE, workspace});
    second.insert({DNNL_ARG_WORKSPACE, workspace});
    second.insert({DNNL_ARG_DIFF_DST_LAYER, of(y, arrays.dy)});
    second.insert({DNNL_ARG_DIFF_SRC_LAYER, of(x, arrays.dx)});
    second.insert({DNNL_ARG_DIFF_SRC_ITER, zeros()});
    if (cell == "lstm") second.insert({DNNL_ARG_DIFF_SRC_ITER_C, zeros()});
    second.insert({DNNL_ARG_DIFF_WEIGHTS_LAYER, of(plain_ih, arrays.dweight_ih)});
    second.insert({DNNL_ARG_DIFF_WEIGHTS_ITER, of(plain_hh, arrays.dweight_hh)});
    second.insert({DNNL_ARG_DIFF_BIAS, of(bias, arrays.dbias)});
    training.emplace_back(Forward(train), first);
    training.emplace_back(Backward(back), second);
  }

  static algorithm activation(const std::string& cell) {
    return cell == "rnn_relu" ? algorithm::eltwise_relu : algorithm::eltwise_tanh;
  }

  void run(bool train) {
    omp_set_num_threads(sizes.threads);
    if (train) {
      const size_t rows = size_t(sizes.gates) * sizes.hidden * sizeof(float);
      std::memset(arrays.dweight_ih, 0, rows * sizes.inputs);
      std::memset(arrays.dweight_hh, 0, rows * sizes.hidden);
      std::memset(arrays.dbias, 0, size_t(sizes.bias_gates) * sizes.hidden * sizeof(float));
    }
    for (auto& [work, words] : train ? training : inference) work.execute(queue, words);
    queue.wait();
  }
};

thread_local std::string message;

template <class Work>
bool guarded(Work work) {
  try {
    work();
    return true;
  } catch (const std::exception& error) {
    message = error.what();
    return false;
  }
}

}  // namespace

extern "C" {
// nullptr where oneDNN refuses: `onednn_error` says why.
void* onednn_create(const char* cell, const Sizes* sizes, const Arrays* arrays) {
  void* layer = nullptr;
  guarded([&] {
    omp_set_num_threads(sizes->threads);
    layer = new Layer(cell, *sizes, *arrays);
  });
  return layer;
}
// Whether it worked.
int onednn_run(void* layer, int train) {
  return guarded([&] { static_cast<Layer*>(layer)->run(train); });
}
void onednn_destroy(void* layer) { delete static_cast<Layer*>(layer); }
const char* onednn_error() { return message.c_str(); }
const char* onednn_version() {
  static const std::string text = [] {
    const auto* found = dnnl_version();
    return std::to_string(found->major) + "." + std::to_string(found->minor) + "." +
           std::to_string(found->patch);
  }();
  return text.c_str();
}
}
