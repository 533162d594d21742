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
#include <memory>
#include <string>
#include <vector>

#include "backend/registry.hpp"
#include "conformance/sequence_layers.hpp"

namespace {

using namespace rnnfast;

// What one line of digests is about: a cell with some options.
struct Case {
  api::RecurrentDims dims;
  bool reverse, ragged, resets, zoneout;
  const char* name;
  bool accumulate = false;
};

template <class T>
void recurrent(const api::CellFacts& cell, const api::RecurrentKernels<T>& kernels, const Case& chosen) {
  const api::RecurrentDims& dims = chosen.dims;
  const index_t N = dims.batch, T_ = dims.steps, I = dims.inputs, H = dims.hidden, O = dims.outputs();
  const index_t rows = cell.gates * H, P = dims.projection;
  constexpr int kThreads = 2;
  const std::string name = std::string(cell.name) + " " + chosen.name + " N" + std::to_string(N) + " T" +
                           std::to_string(T_) + " I" + std::to_string(I) + " H" + std::to_string(H) +
                           (chosen.reverse ? " reverse " : " forward ");
  const auto x = values<T>(N * T_ * I, 1, 2), weight_ih = values<T>(rows * I, 2, 0.7),
             weight_hh = values<T>(rows * O, 3, 0.7), bias_ih = values<T>(rows, 4, 1),
             bias_hh = values<T>(rows, 5, 1), dy = values<T>(N * T_ * O, 6, 1), h = values<T>(N * O, 7, 2),
             c = values<T>(N * H, 8, 2), dh = values<T>(N * O, 9, 1), dc = values<T>(N * H, 10, 1),
             weight_hr = values<T>(P * H, 11, 0.7), unit = values<T>(rows + H, 12, 2),
             reset_h = values<T>(O, 13, 1), mask = values<T>(N * O, 14, 2);
  auto packed = zeros<T>(kernels.forward_packed_size(I, H, P)),
       packed_backward = zeros<T>(kernels.backward_packed_size(I, H, P));
  api::RecurrentWeights<T> weights{I,
                                   H,
                                   P,
                                   kThreads,
                                   weight_ih.data(),
                                   weight_hh.data(),
                                   weight_hr.data(),
                                   bias_ih.data(),
                                   bias_hh.data(),
                                   packed.data()};
  kernels.pack_forward(weights);
  weights.packed = packed_backward.data();
  kernels.pack_backward(weights);

  const std::vector<std::int64_t> lengths = [&] {
    std::vector<std::int64_t> found;
    for (index_t n = 0; n < N; ++n) found.push_back(n * 7 % (T_ + 1));
    return found;
  }();
  const std::size_t cells = static_cast<std::size_t>(N * T_);
  const std::unique_ptr<bool[]> resets(new bool[cells + 1]);
  for (std::size_t k = 0; k < cells; ++k) resets[k] = k % 5 == 1;

  api::RecurrentForward<T> forward{};
  api::RecurrentCall<T>& call = forward.call;
  call.dims = dims;
  call.reverse = chosen.reverse;
  call.threads = kThreads;
  call.x = {x.data(), T_ * I, I};
  call.state[0] = h.data();
  call.state[1] = c.data();
  if (chosen.ragged) call.lengths = lengths.data();
  if (chosen.resets) {
    call.resets = {resets.get(), T_, 1};
    call.reset_state[0] = reset_h.data();
  }
  if (dims.masked) call.hidden_mask = mask.data();
  if (chosen.zoneout) call.zoneout = {{0.3, 0.4}, true, {{{1, 2}, 3, 4}, {{1, 2}, 3, 5}}};
  call.unit = {unit.data(), unit.data(), unit.data(), unit.data(), unit.data(), unit.data(), unit.data()};
  call.packed = packed.data();
  const bool keep = dims.segment >= dims.steps;
  auto y = zeros<T>(N * T_ * O), final_h = zeros<T>(N * O), final_c = zeros<T>(N * H),
       tape = zeros<T>(T_ * N * kernels.tape_row(dims)), checkpoints = zeros<T>(dims.segments() * N * H),
       workspace = zeros<T>(kernels.forward_workspace(dims, kThreads));
  forward.y = {y.data(), T_ * O, O};
  forward.final_state[0] = final_h.data();
  forward.final_state[1] = final_c.data();
  forward.tape = keep ? tape.data() : nullptr;
  forward.checkpoints = keep ? nullptr : checkpoints.data();
  forward.workspace = workspace.data();
  kernels.forward(forward);
  print(name + "y", y, N * T_ * O);
  print(name + "h", final_h, N * O);
  if (cell.states > 1) print(name + "c", final_c, N * H);

  auto dx = zeros<T>(N * T_ * I), dh0 = zeros<T>(N * O), dc0 = zeros<T>(N * H), dreset = zeros<T>(N * O),
       scratch = zeros<T>(kernels.backward_workspace(dims, kThreads));
  const double start = chosen.accumulate ? 3 : 0;  // what gradients are added to
  auto dweight_ih = values<T>(rows * I, 15, start), dweight_hh = values<T>(rows * O, 16, start),
       dbias_ih = values<T>(rows, 17, start), dbias_hh = values<T>(rows, 18, start),
       dweight_hr = values<T>(P * H, 19, start);
  std::vector<std::vector<T>> dunit(7, values<T>(rows + H, 20, start));
  api::RecurrentBackward<T> backward{};
  backward.call = call;
  backward.y = {y.data(), T_ * O, O};
  backward.packed = packed_backward.data();
  backward.tape = tape.data();
  backward.checkpoints = forward.checkpoints;
  backward.bound = T(2);
  backward.dy = {dy.data(), T_ * O, O};
  backward.dfinal_state[0] = dh.data();
  backward.dfinal_state[1] = dc.data();
  backward.dx = {dx.data(), T_ * I, I};
  backward.dstate[0] = dh0.data();
  backward.dstate[1] = dc0.data();
  backward.dreset_state[0] = dreset.data();
  const bool split = dims.layer_norm == api::LayerNorm::kSplit,
             joint = dims.layer_norm == api::LayerNorm::kJoint;
  const bool wanted[] = {cell.unit_weights > 0,     split, split, joint, joint, split && cell.output_state,
                         split && cell.output_state};
  const auto place = [&](std::size_t k) { return wanted[k] ? dunit[k].data() : nullptr; };
  backward.gradients = {
      dweight_ih.data(), dweight_hh.data(),
      dbias_ih.data(),   dbias_hh.data(),
      dweight_hr.data(), {place(0), place(1), place(2), place(3), place(4), place(5), place(6)},
      chosen.accumulate};
  backward.workspace = scratch.data();
  kernels.backward(backward);
  print(name + "dx", dx, N * T_ * I);
  print(name + "dh", dh0, N * O);
  if (cell.states > 1) print(name + "dc", dc0, N * H);
  print(name + "dreset", dreset, N * O);
  print(name + "dweight_ih", dweight_ih, rows * I);
  print(name + "dweight_hh", dweight_hh, rows * O);
  print(name + "dweight_hr", dweight_hr, P * H);
  print(name + "dbias_ih", dbias_ih, rows);
  print(name + "dbias_hh", dbias_hh, rows);
  for (const std::vector<T>& gradient : dunit) print(name + "dunit", gradient, rows + H);
}

template <class T>
void recurrent_cases(const api::CellFacts& cell, const api::RecurrentKernels<T>& kernels) {
  constexpr api::LayerNorm kNone = api::LayerNorm::kNone, kSplit = api::LayerNorm::kSplit,
                           kJoint = api::LayerNorm::kJoint;
  for (const bool reverse : {false, true}) {
    for (const api::RecurrentDims& dims : {api::RecurrentDims{1, 9, 5, 70, 0, kNone, false, 9},
                                           api::RecurrentDims{1, 70, 30, 37, 0, kNone, false, 70},
                                           api::RecurrentDims{67, 3, 1, 33, 0, kNone, false, 3},
                                           api::RecurrentDims{13, 4, 37, 97, 0, kNone, false, 4},
                                           api::RecurrentDims{2, 7, 30, 70, 0, kNone, false, 7},
                                           api::RecurrentDims{3, 5, 100, 33, 0, kNone, false, 5}}) {
      recurrent<T>(cell, kernels, {dims, reverse, false, false, false, "plain"});
    }
    for (const index_t batch : {5, 19}) {  // products over all rows, and by groups of samples
      recurrent<T>(cell, kernels,
                   {{batch, 5, 3, 21, 0, kNone, true, 2}, reverse, true, true, false, "added", true});
    }
    recurrent<T>(cell, kernels,
                 {{3, 5, 40, 33, 0, kNone, false, 5}, reverse, false, false, false, "added", true});
    recurrent<T>(cell, kernels,
                 {{7, 9, 100, 37, 0, kNone, false, 9}, reverse, true, false, false, "thinning out"});
    const api::RecurrentDims options{19, 5, 3, 21, 0, kNone, true, 2};
    recurrent<T>(cell, kernels, {options, reverse, true, true, true, "options"});
    if (cell.split_norm)
      recurrent<T>(cell, kernels,
                   {{19, 5, 3, 21, 0, kSplit, false, 5}, reverse, true, false, false, "split"});
    if (cell.joint_norm)
      recurrent<T>(cell, kernels,
                   {{19, 5, 3, 21, 0, kJoint, false, 5}, reverse, true, false, false, "joint"});
    if (cell.output_state)
      recurrent<T>(cell, kernels,
                   {{9, 5, 3, 21, 18, kSplit, true, 5}, reverse, true, true, true, "projected"});
    if (cell.output_state)
      recurrent<T>(cell, kernels,
                   {{9, 5, 3, 21, 18, kSplit, true, 5}, reverse, true, true, true, "projected added", true});
  }
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
    recurrent_cases<T>(variant.cells[cell], table.recurrent[cell]);
  }
  linear<T>(table.linear, 1, 40, 3);
  linear<T>(table.linear, 77, 19, 130);
  sequence_layers(table);
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
  table.random.dropout_mask({3, 5, 7, {{123u, 456u}, 7u, 0xA5Bu}, 0.3, mask.data()});
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
