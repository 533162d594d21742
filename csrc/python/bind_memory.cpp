// Services on arrays of any layer: views that begin at a cache line, sums in place.
#include <pybind11/stl.h>

#include "python/gradient_lock.hpp"
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

}  // namespace

// All are checked before the first is added to, and added to in one turn.
void accumulate(const Objects& targets, const Objects& sources) {
  if (targets.size() != sources.size()) fail("sources", "must be as many as targets");
  GradientSet gradients;
  for (std::size_t k = 0; k < targets.size(); ++k) {
    PyObject *const target = targets[k].ptr(), *const source = sources[k].ptr();
    if (!py::isinstance<py::array>(targets[k])) fail("targets", "must be arrays");
    by_dtype(py::reinterpret_borrow<py::array>(targets[k]), "targets", [&](auto zero) {
      using T = decltype(zero);
      if (!is_plain_like<T>(source, target) || !is_plain_like<T>(target, target) || !is_writable(target))
        fail("targets, sources", "must be contiguous and alike, and the targets writable");
      gradients.add(data_of<T>(target));
    });
  }
  const GradientLock lock(gradients);
  for (std::size_t k = 0; k < targets.size(); ++k) {
    by_dtype(py::reinterpret_borrow<py::array>(targets[k]), "targets", [&](auto zero) {
      using T = decltype(zero);
      T* const to = data_of<T>(targets[k].ptr());
      const T* const from = data_of<T>(sources[k].ptr());
      const index_t count = size_of(targets[k].ptr());
      without_interpreter(static_cast<double>(count), [&] {
        for (index_t i = 0; i < count; ++i) to[i] += from[i];
      });
    });
  }
}

void bind_memory(py::module_& module) {
  module.def("at_cache_line", &at_cache_line, py::arg("memory"), py::arg("shape"));
  module.def("accumulate", &accumulate, py::arg("targets"), py::arg("sources"));
}

}  // namespace rnnfast::python
