// The WaveNet stack. Weights and gradients come as one tuple of arrays per layer, in the order of
// api::WaveNetLayer, None where a layer has no such weight.
#include <pybind11/stl.h>

#include <vector>

#include "api/wavenet.hpp"
#include "backend/registry.hpp"
#include "base/parallel.hpp"
#include "python/plain_array.hpp"

namespace rnnfast::python {
namespace {

using LayerArrays = std::vector<std::vector<OptionalArray>>;

api::WaveNetDims dims_of(const py::array& dilations, index_t batch, index_t steps, index_t channels,
                         index_t skip_channels, index_t condition, index_t kernel) {
  const Flat shape{dilations.size()};
  const index_t* const own = input<index_t>(dilations, shape, "dilations");  // read where it lies
  if (shape[0] < 1) fail("dilations", "must have one or more");
  if (kernel < 1 || channels < 1 || skip_channels < 1) fail("kernel, channels", "must be 1 or more");
  for (index_t layer = 0; layer < shape[0]; ++layer) {
    if (own[layer] < 1) fail("dilations", "must be 1 or more");
  }
  return {batch, steps, channels, skip_channels, condition, kernel, shape[0], own};
}

index_t ring_rows(const api::WaveNetDims& dims) {
  index_t sum = 0;
  for (index_t layer = 0; layer < dims.layers; ++layer) sum += dims.capacity(layer);
  return sum;
}

// U is T for gradients, const T for weights.
template <class T, class U>
std::vector<api::WaveNetLayer<U>> read_layers(const LayerArrays& layers, const api::WaveNetDims& dims) {
  if (static_cast<index_t>(layers.size()) != dims.layers) fail("layers", "must have one entry per dilation");
  const index_t C = dims.channels, S = dims.skip_channels, Q = dims.condition;
  std::vector<api::WaveNetLayer<U>> result;
  for (const std::vector<OptionalArray>& own : layers) {
    if (own.size() != 7) fail("layers", "must have seven arrays each");
    const bool last = static_cast<index_t>(result.size()) + 1 == dims.layers;
    for (const std::size_t k : {0, 1, 5, 6}) {
      if (!own[k]) fail("layers", "must have weight, bias, weight_skip and bias_skip");
    }
    if (own[2].has_value() != (Q > 0)) fail("weight_condition", "must be there where there is a condition");
    if (own[3].has_value() == last || own[4].has_value() == last)
      fail("weight_residual, bias_residual", "must be there in every layer but the last");
    const auto read = [](const OptionalArray& array, const auto& shape, const char* name) {
      if constexpr (std::is_const_v<U>) {
        return input<T>(array, shape, name);
      } else {
        return output<T>(array, shape, name);
      }
    };
    result.push_back({read(own[0], std::array<index_t, 3>{2 * C, C, dims.kernel}, "weight"),
                      read(own[1], Flat{2 * C}, "bias"), read(own[2], Matrix{2 * C, Q}, "weight_condition"),
                      read(own[3], Matrix{C, C}, "weight_residual"), read(own[4], Flat{C}, "bias_residual"),
                      read(own[5], Matrix{S, C}, "weight_skip"), read(own[6], Flat{S}, "bias_skip")});
  }
  return result;
}

py::array wavenet_pack(bool for_backward, const LayerArrays& layers, const py::array& dilations,
                       index_t condition) {
  if (layers.empty() || layers[0].size() != 7 || !layers[0][0] || !layers[0][5])
    fail("layers", "must have seven arrays each");
  const py::array &weight = *layers[0][0], &skip = *layers[0][5];
  if (weight.ndim() != 3 || skip.ndim() != 2) fail("layers", "must have weights [2C, C, K] and [S, C]");
  const api::WaveNetDims dims =
      dims_of(dilations, 0, 0, weight.shape(1), skip.shape(0), condition, weight.shape(2));
  return by_dtype(weight, "weight", [&](auto zero) -> py::array {
    using T = decltype(zero);
    const api::WaveNetKernels<T>& kernels = backend::table<T>().wavenet;
    const std::vector<api::WaveNetLayer<const T>> own = read_layers<T, const T>(layers, dims);
    py::array packed = new_packed<T>(
        dims.layers * (for_backward ? kernels.backward_packed_size : kernels.forward_packed_size)(dims));
    (for_backward ? kernels.pack_backward
                  : kernels.pack_forward)({dims, own.data(), data_of<T>(packed.ptr())});
    return packed;
  });
}

template <class T>
api::WaveNetCall<T> read_call(const api::WaveNetDims& dims, int threads, const py::array& x,
                              const OptionalArray& condition, const py::array& packed, index_t packed_size) {
  return {dims, threads, input_sequence<T>(x, {dims.batch, dims.steps, dims.channels}, "x"),
          condition ? input_sequence<T>(*condition, {dims.batch, dims.steps, dims.condition}, "condition")
                    : api::Sequence<const T>{},
          input<T>(packed, Flat{dims.layers * packed_size}, "packed")};
}

api::WaveNetDims sizes_of(const py::array& x, const OptionalArray& condition, const py::array& skip,
                          const py::array& dilations, index_t kernel) {
  if (x.ndim() != 3 || skip.ndim() != 3 || (condition && condition->ndim() != 3))
    fail("x, condition, skip", "must have three axes");
  return dims_of(dilations, x.shape(0), x.shape(1), x.shape(2), skip.shape(2),
                 condition ? condition->shape(2) : 0, kernel);
}

void wavenet_forward(const py::array& x, const OptionalArray& condition, const py::array& packed,
                     const py::array& dilations, index_t kernel, const OptionalArray& ring,
                     std::int64_t position, const py::array& skip, const OptionalArray& inputs,
                     const OptionalArray& gates) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const api::WaveNetDims dims = sizes_of(x, condition, skip, dilations, kernel);
    const api::WaveNetKernels<T>& kernels = backend::table<T>().wavenet;
    if (position < 0) fail("position", "must be 0 or more");
    if (inputs.has_value() != gates.has_value()) fail("inputs, gates", "must be given together");
    const int threads = parallel::thread_count();  // once: the scratch must fit what runs
    using Tape = std::array<index_t, 4>;
    const api::WaveNetForward<T> arguments{
        read_call<T>(dims, threads, x, condition, packed, kernels.forward_packed_size(dims)),
        output<T>(ring, Flat{dims.batch * ring_rows(dims) * dims.channels}, "ring"),
        position,
        output_sequence<T>(skip, {dims.batch, dims.steps, dims.skip_channels}, "skip"),
        output<T>(inputs, Tape{dims.layers - 1, dims.batch, dims.steps, dims.channels}, "inputs"),
        output<T>(gates, Tape{dims.layers, dims.batch, dims.steps, 2 * dims.channels}, "gates"),
        scratch<T>(kernels.forward_workspace(dims, threads))};
    py::gil_scoped_release release;
    kernels.forward(arguments);
  });
}

void wavenet_backward(const py::array& x, const OptionalArray& condition, const py::array& packed,
                      const py::array& dilations, index_t kernel, const py::array& inputs,
                      const py::array& gates, const py::array& dskip, const py::array& dx,
                      const OptionalArray& dcondition, const LayerArrays& gradients) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const api::WaveNetDims dims = sizes_of(x, condition, dskip, dilations, kernel);
    const api::WaveNetKernels<T>& kernels = backend::table<T>().wavenet;
    const std::vector<api::WaveNetLayer<T>> own = read_layers<T, T>(gradients, dims);
    const int threads = parallel::thread_count();  // once: the scratch must fit what runs
    using Tape = std::array<index_t, 4>;
    const api::WaveNetBackward<T> arguments{
        read_call<T>(dims, threads, x, condition, packed, kernels.backward_packed_size(dims)),
        input<T>(inputs, Tape{dims.layers - 1, dims.batch, dims.steps, dims.channels}, "inputs"),
        output<T>(gates, Tape{dims.layers, dims.batch, dims.steps, 2 * dims.channels}, "gates"),
        input_sequence<T>(dskip, {dims.batch, dims.steps, dims.skip_channels}, "dskip"),
        output_sequence<T>(dx, {dims.batch, dims.steps, dims.channels}, "dx"),
        dcondition ? output_sequence<T>(*dcondition, {dims.batch, dims.steps, dims.condition}, "dcondition")
                   : api::Sequence<T>{},
        own.data(),
        scratch<T>(kernels.backward_workspace(dims, threads))};
    py::gil_scoped_release release;
    kernels.backward(arguments);
  });
}

}  // namespace

void bind_wavenet(py::module_& module) {
  using py::arg;
  module.def("wavenet_pack", &wavenet_pack, py::kw_only(), arg("for_backward"), arg("layers"),
             arg("dilations"), arg("condition"));
  module.def("wavenet_forward", &wavenet_forward, py::kw_only(), arg("x"), arg("condition"), arg("packed"),
             arg("dilations"), arg("kernel"), arg("ring"), arg("position"), arg("skip"), arg("inputs"),
             arg("gates"));
  module.def("wavenet_backward", &wavenet_backward, py::kw_only(), arg("x"), arg("condition"), arg("packed"),
             arg("dilations"), arg("kernel"), arg("inputs"), arg("gates"), arg("dskip"), arg("dx"),
             arg("dcondition"), arg("gradients"));
}

}  // namespace rnnfast::python
