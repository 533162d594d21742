// Services on arrays of any layer: views that begin at a cache line, sums in place.
#include <pybind11/stl.h>

#include "python/gradient_turn.hpp"
#include "python/plain_array.hpp"

namespace rnnfast::python {
namespace {

constexpr std::uintptr_t kLine = 64;  // bytes

// The first array of this shape within flat memory that begins at a cache line.
py::array at_cache_line(const py::array& memory, const std::vector<py::ssize_t>& shape) {
  if (memory.ndim() != 1 || !(memory.flags() & py::array::c_style)) fail("memory", "must be flat");
  py::ssize_t size = 1;
  for (const py::ssize_t axis : shape) size *= axis;
  const py::ssize_t item = memory.itemsize();
  const auto first =
      static_cast<py::ssize_t>((kLine - reinterpret_cast<std::uintptr_t>(memory.data()) % kLine) % kLine) /
      item;
  if (size < 0 || first + size > memory.shape(0)) fail("memory", "must have room for the shape");
  return py::array(memory.dtype(), shape, {}, static_cast<const char*>(memory.data()) + first * item, memory);
}

template <class T>
void add(char* to, const char* from, index_t count) {
  T* const sums = reinterpret_cast<T*>(to);
  const T* const values = reinterpret_cast<const T*>(from);
  for (index_t i = 0; i < count; ++i) sums[i] += values[i];
}

}  // namespace

// All are checked before the first is added to, and added to in one turn.
void accumulate(const Objects& targets, const Objects& sources) {
  if (targets.size() != sources.size()) fail("sources", "must be as many as targets");
  struct Addition {
    void (*add)(char* to, const char* from, index_t count);
    char* to;
    const char* from;
    index_t count;
  };
  std::vector<Addition> additions;
  additions.reserve(targets.size());
  GradientSet gradients;
  double operations = 0;
  for (std::size_t k = 0; k < targets.size(); ++k) {
    PyObject *const target = targets[k].ptr(), *const source = sources[k].ptr();
    if (!py::isinstance<py::array>(targets[k])) fail("targets", "must be arrays");
    by_dtype(py::reinterpret_borrow<py::array>(targets[k]), "targets", [&](auto zero) {
      using T = decltype(zero);
      if (!is_plain_like<T>(source, target) || !is_plain_like<T>(target, target) || !is_writable(target))
        fail("targets, sources", "must be contiguous and alike, and the targets writable");
      const index_t count = size_of(target);
      additions.push_back({&add<T>, data_of<char>(target), data_of<char>(source), count});
      gradients.add(data_of<T>(target), count);
      operations += static_cast<double>(count);
    });
  }
  const GradientTurn turn(gradients, operations);
  for (const Addition& addition : additions) addition.add(addition.to, addition.from, addition.count);
}

void bind_memory(py::module_& module) {
  module.def("at_cache_line", &at_cache_line, py::arg("memory"), py::arg("shape"));
  module.def("accumulate", &accumulate, py::arg("targets"), py::arg("sources"));
}

}  // namespace rnnfast::python
