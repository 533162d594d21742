// Packing of the weights of recurrent layers, and the size of what a tape keeps.
#include "python/recurrent_arrays.hpp"

namespace rnnfast::python {
namespace {

py::array pack(int cell, bool for_backward, const py::array& weight_ih, const py::array& weight_hh,
               const OptionalArray& bias_ih, const OptionalArray& bias_hh, const OptionalArray& weight_hr) {
  const index_t gates = cell_facts(cell).gates;
  if (weight_ih.ndim() != 2 || weight_hh.ndim() != 2) fail("weight_ih, weight_hh", "must have two axes");
  if (weight_hr && weight_hr->ndim() != 2) fail("weight_hr", "must have two axes");
  if (bias_ih.has_value() != bias_hh.has_value()) fail("bias_ih, bias_hh", "must be given together");
  return by_dtype(weight_ih, "weight_ih", [&](auto zero) -> py::array {
    using T = decltype(zero);
    const index_t inputs = weight_ih.shape(1), outputs = weight_hh.shape(1);
    const index_t projection = weight_hr ? outputs : 0, hidden = weight_hr ? weight_hr->shape(1) : outputs;
    if (projection > 0 && !cell_facts(cell).output_state) fail("weight_hr", "is not for this cell");
    const api::RecurrentKernels<T>& kernel = recurrent_kernels<T>(cell);
    py::array_t<T> packed((for_backward ? kernel.backward_packed_size : kernel.forward_packed_size)(
        inputs, hidden, projection));
    const api::RecurrentWeights<T> weights{
        inputs,
        hidden,
        projection,
        input<T>(weight_ih, std::array<index_t, 2>{gates * hidden, inputs}, "weight_ih"),
        input<T>(weight_hh, std::array<index_t, 2>{gates * hidden, outputs}, "weight_hh"),
        input<T>(weight_hr, std::array<index_t, 2>{projection, hidden}, "weight_hr"),
        input<T>(bias_ih, std::array<index_t, 1>{gates * hidden}, "bias_ih"),
        input<T>(bias_hh, std::array<index_t, 1>{gates * hidden}, "bias_hh"),
        packed.mutable_data()};
    {
      py::gil_scoped_release release;
      (for_backward ? kernel.pack_backward : kernel.pack_forward)(weights);
    }
    return packed;
  });
}

index_t tape_row(int cell, const std::string& dtype, index_t hidden, index_t projection,
                 const std::string& layer_norm, bool masked) {
  cell_facts(cell);
  check_dtype_name(dtype);
  const api::RecurrentDims dims{0, 0, 0, hidden, projection, read_layer_norm(layer_norm), masked, 1};
  return dtype == "float64" ? recurrent_kernels<double>(cell).tape_row(dims)
                            : recurrent_kernels<float>(cell).tape_row(dims);
}

}  // namespace

void bind_recurrent_weights(py::module_& module) {
  using py::arg;
  module.def("recurrent_pack", &pack, arg("cell"), py::kw_only(), arg("for_backward"), arg("weight_ih"),
             arg("weight_hh"), arg("bias_ih"), arg("bias_hh"), arg("weight_hr"));
  module.def("recurrent_tape_row", &tape_row, arg("cell"), py::kw_only(), arg("dtype"), arg("hidden"),
             arg("projection"), arg("layer_norm"), arg("masked"));
}

}  // namespace rnnfast::python
