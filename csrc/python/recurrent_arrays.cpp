// The parts of recurrent_arrays.hpp that know no dtype.
#include "python/recurrent_arrays.hpp"

namespace rnnfast::python {

const api::CellFacts& cell_facts(int cell) {
  if (cell < 0 || cell >= backend::active().cell_count) fail("cell", "is not in the registry");
  return backend::active().cells[cell];
}

OptionalArray entry(const py::dict& arrays, const char* name) {
  if (!arrays.contains(name) || arrays[name].is_none()) return std::nullopt;
  return arrays[name].cast<py::array>();
}

api::LayerNorm read_layer_norm(const std::string& name) {
  if (name == "none") return api::LayerNorm::kNone;
  if (name == "split") return api::LayerNorm::kSplit;
  if (name == "joint") return api::LayerNorm::kJoint;
  fail("layer_norm", "must be none, split or joint");
}

void check_options(const api::RecurrentDims& dims, const api::CellFacts& facts) {
  if (dims.projection < 0 || (dims.projection > 0 && !facts.output_state))
    fail("projection", "is not for this cell");
  if ((dims.layer_norm == api::LayerNorm::kSplit && !facts.split_norm) ||
      (dims.layer_norm == api::LayerNorm::kJoint && !facts.joint_norm))
    fail("layer_norm", "is not for this cell");
}

}  // namespace rnnfast::python
