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

Settings read_settings(const py::dict& settings, int states) {
  Settings result{
      settings["reverse"].cast<bool>(),          read_layer_norm(settings["layer_norm"].cast<std::string>()),
      settings["segment"].cast<index_t>(),       settings["zoneout_rates"].cast<std::vector<double>>(),
      settings["zoneout_training"].cast<bool>(), {}};
  using Words = std::array<std::uint32_t, 4>;
  for (const Words& words : settings["zoneout_keys"].cast<std::vector<Words>>())
    result.zoneout_keys.push_back({{words[0], words[1]}, words[2], words[3]});
  const std::size_t count = result.zoneout_rates.size();
  if (count != static_cast<std::size_t>(states) || result.zoneout_keys.size() != count)
    fail("zoneout", "must have a rate and a key for every state");
  for (const double rate : result.zoneout_rates) {
    if (!(rate >= 0 && rate < 1)) fail("zoneout_rates", "must be in [0, 1)");
  }
  return result;
}

}  // namespace rnnfast::python
