// The ordered list of variants compiled in, and the choice among them at run time.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "api/kernel_table.hpp"

namespace rnnfast::backend {

struct Entry {
  const char* name;
  bool (*supported)();
  const api::Variant& (*load)();
};

// Best first; the last one runs everywhere.
const std::vector<Entry>& compiled();

// The active variant: the best that this CPU supports, unless RNNFAST_ISA or use() names one.
const api::Variant& active();

// The active variant's kernels for float or double.
template <class T>
const api::KernelTable<T>& table() {
  if constexpr (std::is_same_v<T, float>) {
    return active().float32;
  } else {
    return active().float64;
  }
}

// Throws std::runtime_error naming what there is where the name is unknown or the CPU cannot run it.
void use(const std::string& name);

}  // namespace rnnfast::backend
