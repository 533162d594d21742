// Digests of the layers without recurrence: convolution, WaveNet stack, layer norm, embedding, attention.
#pragma once

#include <algorithm>

#include "api/kernel_table.hpp"
#include "conformance/arrays.hpp"

namespace {

constexpr int kSequenceThreads = 2;

template <class T>
void conv1d(const api::Conv1dKernels<T>& kernels, const api::Conv1dDims& dims, const std::string& title) {
  const index_t N = dims.batch, C = dims.inputs, O = dims.outputs, K = dims.kernel;
  const index_t in = N * dims.steps_in * C, out = N * dims.steps_out * O, capacity = (K - 1) * dims.dilation;
  const std::string name = "conv1d " + title + " ";
  const auto x = values<T>(in, 1, 2), weight = values<T>(O * C * K, 2, 0.7), bias = values<T>(O, 3, 1),
             dy = values<T>(out, 4, 1);
  auto packed = zeros<T>(kernels.forward_packed_size(C, O, K)),
       backward = zeros<T>(kernels.backward_packed_size(C, O, K)), y = zeros<T>(out), dx = zeros<T>(in),
       dweight = zeros<T>(O * C * K), dbias = zeros<T>(O), ring = values<T>(N * capacity * C, 5, 2),
       workspace = zeros<T>(kernels.forward_workspace(dims, kSequenceThreads)),
       scratch = zeros<T>(kernels.backward_workspace(dims, kSequenceThreads));
  kernels.pack_forward({C, O, K, weight.data(), bias.data(), packed.data()});
  kernels.pack_backward({C, O, K, weight.data(), bias.data(), backward.data()});
  const api::Sequence<const T> from{x.data(), dims.steps_in * C, C};
  const api::Sequence<T> to{y.data(), dims.steps_out * O, O};
  kernels.forward(
      {dims, kSequenceThreads, from, {nullptr, capacity, 0}, packed.data(), to, workspace.data()});
  print(name + "y", y, out);
  kernels.backward({dims,
                    kSequenceThreads,
                    from,
                    {y.data(), dims.steps_out * O, O},
                    {dy.data(), dims.steps_out * O, O},
                    backward.data(),
                    {dx.data(), dims.steps_in * C, C},
                    dweight.data(),
                    dbias.data(),
                    scratch.data()});
  print(name + "dx", dx, in);
  print(name + "dweight", dweight, O * C * K);
  print(name + "dbias", dbias, O);
  if (dims.first < 0) {
    kernels.forward({dims,
                     kSequenceThreads,
                     from,
                     {ring.data(), capacity, capacity / 2},
                     packed.data(),
                     to,
                     workspace.data()});
    print(name + "y of a stream", y, out);
    print(name + "ring", ring, N * capacity * C);
  }
}

template <class T>
void wavenet(const api::WaveNetKernels<T>& kernels, index_t N, index_t steps, index_t C, index_t S,
             index_t Q) {
  const index_t dilations[] = {1, 4, 2};
  constexpr index_t kLayers = 3, kKernel = 2, kRows = 7;  // rows of all rings
  const api::WaveNetDims dims{N, steps, C, S, Q, kKernel, kLayers, dilations};
  const std::string name = "wavenet N" + std::to_string(N) + " T" + std::to_string(steps) + " C" +
                           std::to_string(C) + " S" + std::to_string(S) + " Q" + std::to_string(Q) + " ";
  const index_t sizes[] = {2 * C * C * kKernel, 2 * C, 2 * C * Q, C * C, C, S * C, S};
  std::vector<std::vector<T>> weights, gradients;
  std::vector<api::WaveNetLayer<const T>> layers;
  std::vector<api::WaveNetLayer<T>> places;
  for (std::uint64_t l = 0; l < kLayers; ++l) {
    for (std::uint64_t k = 0; k < 7; ++k) {
      weights.push_back(values<T>(sizes[k], 10 * l + k, 0.6));
      gradients.push_back(zeros<T>(sizes[k]));
    }
  }
  for (std::size_t l = 0; l < kLayers; ++l) {
    const auto at = [&](auto& arrays, std::size_t k) {
      const bool absent = (k == 2 && Q == 0) || ((k == 3 || k == 4) && l + 1 == kLayers);
      return absent ? nullptr : arrays[7 * l + k].data();
    };
    const std::vector<std::vector<T>>& fixed = weights;
    layers.push_back(
        {at(fixed, 0), at(fixed, 1), at(fixed, 2), at(fixed, 3), at(fixed, 4), at(fixed, 5), at(fixed, 6)});
    places.push_back({at(gradients, 0), at(gradients, 1), at(gradients, 2), at(gradients, 3),
                      at(gradients, 4), at(gradients, 5), at(gradients, 6)});
  }
  const auto x = values<T>(N * steps * C, 101, 2), condition = values<T>(N * steps * Q, 102, 2),
             dskip = values<T>(N * steps * S, 103, 1);
  auto packed = zeros<T>(kLayers * kernels.forward_packed_size(dims)),
       backward = zeros<T>(kLayers * kernels.backward_packed_size(dims)), skip = zeros<T>(N * steps * S),
       inputs = zeros<T>((kLayers - 1) * N * steps * C), gates = zeros<T>(kLayers * N * steps * 2 * C),
       dx = zeros<T>(N * steps * C), dcondition = zeros<T>(N * steps * Q),
       ring = values<T>(N * kRows * C, 104, 1),
       workspace = zeros<T>(kernels.forward_workspace(dims, kSequenceThreads)),
       scratch = zeros<T>(kernels.backward_workspace(dims, kSequenceThreads));
  kernels.pack_forward({dims, layers.data(), packed.data()});
  kernels.pack_backward({dims, layers.data(), backward.data()});
  api::WaveNetCall<T> call{dims, kSequenceThreads, {x.data(), steps * C, C}, {}, packed.data()};
  if (Q > 0) call.condition = {condition.data(), steps * Q, Q};
  const api::Sequence<T> to{skip.data(), steps * S, S};
  kernels.forward({call, ring.data(), 5, to, nullptr, nullptr, workspace.data()});
  print(name + "skip of a stream", skip, N * steps * S);
  print(name + "ring", ring, N * kRows * C);
  kernels.forward({call, nullptr, 0, to, inputs.data(), gates.data(), workspace.data()});
  print(name + "skip", skip, N * steps * S);
  call.packed = backward.data();
  kernels.backward({call,
                    inputs.data(),
                    gates.data(),
                    {dskip.data(), steps * S, S},
                    {dx.data(), steps * C, C},
                    {Q > 0 ? dcondition.data() : nullptr, steps * Q, Q},
                    places.data(),
                    scratch.data()});
  print(name + "dx", dx, N * steps * C);
  print(name + "dcondition", dcondition, N * steps * Q);
  for (std::size_t k = 0; k < gradients.size(); ++k) print(name + "gradient", gradients[k], sizes[k % 7]);
}

template <class T>
void layer_norm(const api::LayerNormKernels<T>& kernels, index_t rows, index_t features,
                api::Activation activation) {
  const std::string name = "layer_norm N" + std::to_string(rows) + " D" + std::to_string(features) + " ";
  const auto x = values<T>(rows * features, 1, 3), gamma = values<T>(features, 2, 2),
             beta = values<T>(features, 3, 1), dy = values<T>(rows * features, 4, 1);
  auto y = zeros<T>(rows * features), moments = zeros<T>(2 * rows), dx = zeros<T>(rows * features),
       dgamma = zeros<T>(features), dbeta = zeros<T>(features),
       workspace = zeros<T>(kernels.backward_workspace(rows, features));
  kernels.forward({rows, features, activation, kSequenceThreads, x.data(), gamma.data(), beta.data(),
                   y.data(), moments.data()});
  kernels.backward({rows, features, activation, kSequenceThreads, x.data(), y.data(), gamma.data(),
                    moments.data(), dy.data(), dx.data(), dgamma.data(), dbeta.data(), workspace.data()});
  print(name + "y", y, rows * features);
  print(name + "dx", dx, rows * features);
  print(name + "dgamma", dgamma, features);
  print(name + "dbeta", dbeta, features);
}

template <class T>
void sequence_layers(const api::KernelTable<T>& table) {
  using A = api::Activation;
  conv1d<T>(table.conv1d, {3, 17, 33, 3, 4, 1, 21, 21, -8, A::kTanh}, "causal");
  conv1d<T>(table.conv1d, {2, 1, 7, 2, 1, 1, 70, 70, -1, A::kNone}, "one channel");
  conv1d<T>(table.conv1d, {3, 5, 40, 4, 2, 3, 31, 9, 0, A::kRelu}, "strided");
  wavenet<T>(table.wavenet, 3, 23, 17, 40, 4);
  wavenet<T>(table.wavenet, 2, 70, 5, 3, 0);
  layer_norm<T>(table.layer_norm, 67, 37, A::kSigmoid);
  layer_norm<T>(table.layer_norm, 5, 130, A::kNone);

  const index_t N = 3, rows = 5, columns = 37, depth = 19;
  const auto a = values<T>(N * rows * depth, 1, 2), b = values<T>(N * depth * columns, 2, 2),
             scores = values<T>(N * rows * columns, 3, 30);
  auto c = zeros<T>(N * rows * columns), p = zeros<T>(N * rows * columns),
       workspace = zeros<T>(table.attention.product_workspace(columns, depth, kSequenceThreads));
  for (const api::Transposed transposed :
       {api::Transposed::kNone, api::Transposed::kLeft, api::Transposed::kRight}) {
    table.attention.product({N, rows, columns, depth, transposed, kSequenceThreads, a.data(), b.data(),
                             c.data(), workspace.data()});
    print("batched_product", c, N * rows * columns);
  }
  for (const api::ElementLoss loss : {api::ElementLoss::kSquared, api::ElementLoss::kAbsolute,
                                      api::ElementLoss::kHuber, api::ElementLoss::kQuantile}) {
    const index_t count = N * rows * depth;
    auto slopes = zeros<T>(count);
    const double sum =
        table.loss.element_sum({loss, T(0.8), count, a.data(), b.data(), nullptr, slopes.data(), T(0.01)});
    print("element loss", std::vector<double>{sum}, 1);
    print("slopes", slopes, count);
  }
  const std::int64_t lengths[] = {37, 9, 0};
  table.attention.softmax_forward({N, rows, columns, scores.data(), lengths, p.data()});
  print("softmax", p, N * rows * columns);
  table.attention.softmax_backward({N * rows, columns, p.data(), scores.data(), c.data()});
  print("softmax gradient", c, N * rows * columns);
  const std::int64_t index[] = {4, 0, 4, 2};
  auto looked_up = zeros<T>(4 * depth), dtable = zeros<T>(5 * depth);
  table.embedding.forward({4, 5, depth, kSequenceThreads, index, a.data(), looked_up.data()});
  table.embedding.backward({4, 5, depth, kSequenceThreads, index, 2, looked_up.data(), dtable.data()});
  print("embedding", looked_up, 4 * depth);
  print("embedding gradient", dtable, 5 * depth);
}

}  // namespace
