// Stand-alone conformance program: runs every kernel of one variant on fixed inputs and prints a digest of
// the bits of every output, a line each. Variants with FMA must print the same lines, whatever machine or
// emulator runs them:
//
//   rnnfast_conformance            variants compiled in and whether this CPU runs them
//   rnnfast_conformance VARIANT    digests
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "backend/registry.hpp"

namespace {

using namespace rnnfast;

// Exact in both dtypes on any machine: integers over a power of two, from a linear congruential generator.
template <class T>
std::vector<T> values(index_t count, std::uint64_t seed, double scale) {
  std::vector<T> result(static_cast<std::size_t>(count) + 1);
  for (T& value : result) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<T>((static_cast<double>(seed >> 44) / (1 << 20) - 0.5) * scale);
  }
  return result;
}

template <class T>
void print(const std::string& name, const std::vector<T>& array, index_t count) {
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(array.data());
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (std::size_t b = 0; b < static_cast<std::size_t>(count) * sizeof(T); ++b)
    hash = (hash ^ bytes[b]) * 1099511628211u;
  std::printf("%s %s %016llx\n", name.c_str(), sizeof(T) == 4 ? "float32" : "float64",
              static_cast<unsigned long long>(hash));
}

template <class T>
std::vector<T> zeros(index_t count) {
  return std::vector<T>(static_cast<std::size_t>(count) + 16);
}

template <class T>
void recurrent(const api::CellFacts& cell, const api::RecurrentKernels<T>& kernels,
               const api::RecurrentDims& dims, bool reverse) {
  const auto [N, T_, I, H] = dims;
  const index_t rows = cell.gates * H, threads = 2;
  const std::string name = std::string(cell.name) + " N" + std::to_string(N) + " T" + std::to_string(T_) +
                           " I" + std::to_string(I) + " H" + std::to_string(H) +
                           (reverse ? " reverse " : " forward ");
  const auto x = values<T>(N * T_ * I, 1, 2), weight_ih = values<T>(rows * I, 2, 0.7),
             weight_hh = values<T>(rows * H, 3, 0.7), bias_ih = values<T>(rows, 4, 1),
             bias_hh = values<T>(rows, 5, 1), dy = values<T>(N * T_ * H, 6, 1), h = values<T>(N * H, 7, 2),
             c = values<T>(N * H, 8, 2), dh = values<T>(N * H, 9, 1), dc = values<T>(N * H, 10, 1);
  auto packed = zeros<T>(kernels.forward_packed_size(I, H)),
       packed_backward = zeros<T>(kernels.backward_packed_size(I, H));
  api::RecurrentWeights<T> weights{
      I, H, weight_ih.data(), weight_hh.data(), bias_ih.data(), bias_hh.data(), packed.data()};
  kernels.pack_forward(weights);
  weights.packed = packed_backward.data();
  kernels.pack_backward(weights);

  auto y = zeros<T>(N * T_ * H), final_h = zeros<T>(N * H), final_c = zeros<T>(N * H),
       gates = zeros<T>(T_ * N * kernels.tape_row(H)), states = zeros<T>(T_ * N * (cell.states - 1) * H),
       workspace = zeros<T>(kernels.forward_workspace(dims));
  api::RecurrentForward<T> forward{};
  forward.dims = dims;
  forward.reverse = reverse;
  forward.threads = static_cast<int>(threads);
  forward.x = {x.data(), T_ * I, I};
  forward.state[0] = h.data();
  forward.state[1] = c.data();
  forward.packed = packed.data();
  forward.y = {y.data(), T_ * H, H};
  forward.final_state[0] = final_h.data();
  forward.final_state[1] = final_c.data();
  forward.tape_gates = gates.data();
  forward.tape_states = states.data();
  forward.workspace = workspace.data();
  kernels.forward(forward);
  print(name + "y", y, N * T_ * H);
  for (int s = 0; s < cell.states; ++s) print(name + cell.state_names[s], s == 0 ? final_h : final_c, N * H);

  auto dx = zeros<T>(N * T_ * I), dh0 = zeros<T>(N * H), dc0 = zeros<T>(N * H),
       dweight_ih = zeros<T>(rows * I), dweight_hh = zeros<T>(rows * H), dbias_ih = zeros<T>(rows),
       dbias_hh = zeros<T>(rows),
       scratch = zeros<T>(kernels.backward_workspace(dims, static_cast<int>(threads)));
  api::RecurrentBackward<T> backward{};
  backward.dims = dims;
  backward.reverse = reverse;
  backward.threads = static_cast<int>(threads);
  backward.x = forward.x;
  backward.y = {y.data(), T_ * H, H};
  backward.state[0] = h.data();
  backward.state[1] = c.data();
  backward.packed = packed_backward.data();
  backward.tape_gates = gates.data();
  backward.tape_states = states.data();
  backward.dy = {dy.data(), T_ * H, H};
  backward.dfinal_state[0] = dh.data();
  backward.dfinal_state[1] = dc.data();
  backward.dx = {dx.data(), T_ * I, I};
  backward.dstate[0] = dh0.data();
  backward.dstate[1] = dc0.data();
  backward.dweight_ih = dweight_ih.data();
  backward.dweight_hh = dweight_hh.data();
  backward.dbias_ih = dbias_ih.data();
  backward.dbias_hh = dbias_hh.data();
  backward.workspace = scratch.data();
  kernels.backward(backward);
  print(name + "dx", dx, N * T_ * I);
  for (int s = 0; s < cell.states; ++s) print(name + "d" + cell.state_names[s], s == 0 ? dh0 : dc0, N * H);
  print(name + "dweight_ih", dweight_ih, rows * I);
  print(name + "dweight_hh", dweight_hh, rows * H);
  print(name + "dbias_ih", dbias_ih, rows);
  print(name + "dbias_hh", dbias_hh, rows);
}

template <class T>
void linear(const api::LinearKernels<T>& kernels, index_t rows, index_t inputs, index_t outputs) {
  const std::string name = "linear N" + std::to_string(rows) + " I" + std::to_string(inputs) + " O" +
                           std::to_string(outputs) + " ";
  const auto x = values<T>(rows * inputs, 1, 2), weight = values<T>(outputs * inputs, 2, 1),
             bias = values<T>(outputs, 3, 1), dy = values<T>(rows * outputs, 4, 1);
  auto y = zeros<T>(rows * outputs), dx = zeros<T>(rows * inputs), dweight = zeros<T>(outputs * inputs),
       dbias = zeros<T>(outputs), workspace = zeros<T>(kernels.forward_workspace(rows, inputs, outputs)),
       scratch = zeros<T>(kernels.backward_workspace(rows, inputs, outputs, 2));
  kernels.forward(
      {rows, inputs, outputs, 2, x.data(), weight.data(), bias.data(), y.data(), workspace.data()});
  kernels.backward({rows, inputs, outputs, 2, x.data(), weight.data(), dy.data(), dx.data(), dweight.data(),
                    dbias.data(), scratch.data()});
  print(name + "y", y, rows * outputs);
  print(name + "dx", dx, rows * inputs);
  print(name + "dweight", dweight, outputs * inputs);
  print(name + "dbias", dbias, outputs);
}

template <class T>
void all(const api::Variant& variant, const api::KernelTable<T>& table) {
  for (int cell = 0; cell < variant.cell_count; ++cell) {
    for (const bool reverse : {false, true}) {
      recurrent<T>(variant.cells[cell], table.recurrent[cell], {1, 9, 5, 70}, reverse);
      recurrent<T>(variant.cells[cell], table.recurrent[cell], {67, 3, 1, 33}, reverse);
      recurrent<T>(variant.cells[cell], table.recurrent[cell], {13, 4, 37, 97}, reverse);
    }
  }
  linear<T>(table.linear, 1, 40, 3);
  linear<T>(table.linear, 77, 19, 130);
  const index_t count = 4099;
  const auto x = values<T>(count, 1, 40);
  auto y = zeros<T>(count);
  table.activation.sigmoid(x.data(), y.data(), count);
  print("sigmoid", y, count);
  table.activation.tanh(x.data(), y.data(), count);
  print("tanh", y, count);
  auto edges = x;  // zeros of both signs, denormals, infinities
  const T denormal = std::numeric_limits<T>::denorm_min(), infinity = std::numeric_limits<T>::infinity();
  const T special[] = {T(0), -T(0), denormal, -denormal, infinity, -infinity};
  std::copy(std::begin(special), std::end(special), edges.begin());
  table.activation.relu(edges.data(), y.data(), count);
  print("relu", y, count);
  table.activation.sigmoid(edges.data(), y.data(), count);
  print("sigmoid at edges", y, count);
  table.activation.tanh(edges.data(), y.data(), count);
  print("tanh at edges", y, count);

  auto p = values<T>(count, 2, 1), m = zeros<T>(count), s = zeros<T>(count);
  for (int step = 0; step < 3; ++step) {
    table.optimizer.sgd({count, p.data(), x.data(), m.data(), T(0.01), T(0.9), T(0.001), T(0.5), true});
    table.optimizer.rmsprop(
        {count, p.data(), x.data(), s.data(), nullptr, T(0.01), T(0.9), T(0.1), T(1e-6), T(0), T(0), T(1)});
    table.optimizer.adam({count, p.data(), x.data(), m.data(), s.data(), T(0.01), T(0.9), T(0.99), T(0.1),
                          T(0.01), T(1e-6), T(0.1), T(1), T(0.02), T(1.1), true});
  }
  print("optimizers", p, count);
  const double squares = table.optimizer.sum_of_squares(x.data(), count);
  print("sum_of_squares", std::vector<double>{squares}, 1);
  auto mask = zeros<T>(3 * 5 * 7);
  table.random.dropout_mask({3, 5, 7, {123u, 456u}, 0.3, mask.data()});
  print("dropout_mask", mask, 3 * 5 * 7);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count < 2) {
      for (const backend::Entry& entry : backend::compiled()) {
        std::printf("%s %s\n", entry.name, entry.supported() ? "supported" : "not supported");
      }
      return 0;
    }
    backend::use(arguments[1]);
    all<float>(backend::active(), backend::active().float32);
    all<double>(backend::active(), backend::active().float64);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
