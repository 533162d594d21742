// From NumPy arrays to the plain structs of api/: every array is checked for dtype, shape and layout before a
// kernel sees its pointer, and nothing is ever converted or copied. ops.py has checked before, with better
// words; this is the second lock.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>

#include "api/conventions.hpp"

namespace rnnfast::python {

namespace py = pybind11;

using OptionalArray = std::optional<py::array>;

// Shapes.
using Flat = std::array<index_t, 1>;
using Matrix = std::array<index_t, 2>;

[[noreturn]] inline void fail(const std::string& name, const std::string& rule) {
  throw py::value_error("_core: " + name + " " + rule);
}

inline void check_dtype_name(const std::string& dtype) {
  if (dtype != "float32" && dtype != "float64") {
    throw py::type_error("_core: dtype must be float32 or float64, got " + dtype);
  }
}

template <class T>
void check_dtype(const py::array& array, const char* name) {
  if (!py::isinstance<py::array_t<T>>(array)) {
    throw py::type_error(std::string("_core: ") + name + " must be " +
                         py::str(py::dtype::of<T>()).cast<std::string>() + ", got " +
                         py::str(array.dtype()).cast<std::string>());
  }
}

template <class Size>
std::string shape_text(const Size* shape, std::size_t axes) {
  std::string text = "(";
  for (std::size_t axis = 0; axis < axes; ++axis) {
    text += (axis == 0 ? "" : ", ") + std::to_string(shape[axis]);
  }
  return text + ")";
}

// What an object is, for errors.
inline std::string description(const py::object& object) {
  if (!py::isinstance<py::array>(object)) return py::str(py::type::of(object).attr("__name__"));
  const auto array = py::reinterpret_borrow<py::array>(object);
  const std::string type = py::str(py::type::of(object).attr("__name__"));
  return (type == "ndarray" ? "" : type + " of ") + (array.writeable() ? "" : "read-only ") +
         (array.flags() & py::array::c_style ? "" : "strided ") +
         (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_ ? "" : "misaligned ") +
         py::str(array.dtype()).cast<std::string>() + " of shape " +
         shape_text(array.shape(), static_cast<std::size_t>(array.ndim()));
}

template <class T, std::size_t kAxes>
void check_shape(const py::array& array, const std::array<index_t, kAxes>& shape, const char* name) {
  check_dtype<T>(array, name);
  bool same = array.ndim() == static_cast<py::ssize_t>(kAxes);
  for (std::size_t axis = 0; same && axis < kAxes; ++axis)
    same = array.shape(static_cast<int>(axis)) == shape[axis];
  if (!same) {
    fail(name, "must have shape " + shape_text(shape.data(), kAxes) + ", got " +
                   shape_text(array.shape(), static_cast<std::size_t>(array.ndim())));
  }
  if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) != 0) fail(name, "must be aligned");
}

// A C-contiguous input.
template <class T, std::size_t kAxes>
const T* input(const py::array& array, const std::array<index_t, kAxes>& shape, const char* name) {
  check_shape<T>(array, shape, name);
  if (!(array.flags() & py::array::c_style)) fail(name, "must be C-contiguous");
  return static_cast<const T*>(array.data());
}

template <class T, std::size_t kAxes>
const T* input(const OptionalArray& array, const std::array<index_t, kAxes>& shape, const char* name) {
  return array ? input<T>(*array, shape, name) : nullptr;
}

// A C-contiguous, writable output.
template <class T, std::size_t kAxes>
T* output(const py::array& array, const std::array<index_t, kAxes>& shape, const char* name) {
  const T* data = input<T>(array, shape, name);
  if (!array.writeable()) fail(name, "must be writable");
  return const_cast<T*>(data);
}

template <class T, std::size_t kAxes>
T* output(const OptionalArray& array, const std::array<index_t, kAxes>& shape, const char* name) {
  return array ? output<T>(*array, shape, name) : nullptr;
}

// [N, T, F] with a contiguous last axis and any strides, in whole elements, in the others.
template <class T>
api::Sequence<const T> input_sequence(const py::array& array, const std::array<index_t, 3>& shape,
                                      const char* name) {
  check_shape<T>(array, shape, name);
  constexpr py::ssize_t kSize = sizeof(T);
  const bool whole = array.strides(0) % kSize == 0 && array.strides(1) % kSize == 0;
  const bool contiguous = shape[2] <= 1 || array.strides(2) == kSize;
  if (array.size() > 0 && !(contiguous && whole))  // NumPy gives empty arrays any strides
    fail(name, "must have a contiguous last axis");
  return {static_cast<const T*>(array.data()), array.strides(0) / kSize, array.strides(1) / kSize};
}

template <class T>
api::Sequence<T> output_sequence(const py::array& array, const std::array<index_t, 3>& shape,
                                 const char* name) {
  const api::Sequence<const T> view = input_sequence<T>(array, shape, name);
  if (!array.writeable()) fail(name, "must be writable");
  return {const_cast<T*>(view.data), view.batch_stride, view.time_stride};
}

// Calls body(T{}) for the array's dtype, float or double.
template <class Body>
auto by_dtype(const py::array& array, const char* name, Body&& body) {
  if (py::isinstance<py::array_t<float>>(array)) return body(float{});
  if (py::isinstance<py::array_t<double>>(array)) return body(double{});
  throw py::type_error(std::string("_core: ") + name + " must be float32 or float64, got " +
                       py::str(array.dtype()).cast<std::string>());
}

// The interpreter is released for work from here on: to release it costs as much as a small step of a layer.
constexpr double kOperationsToRelease = 5e4;

// `body` without the interpreter, where it is long.
template <class Body>
void without_interpreter(double operations, Body&& body) {
  std::optional<py::gil_scoped_release> released;
  if (operations > kOperationsToRelease) released.emplace();
  body();
}

// Scratch memory of the calling thread, kept between calls so that a call does not pay for fresh pages; what
// one large call needed is given up once small ones follow.
template <class T>
T* scratch(index_t count) {
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  constexpr std::size_t kAlignment = 64;                // a cache line, and the widest vector
  constexpr std::size_t kKept = std::size_t{64} << 20;  // a large layer's workspace: 64 MB
  thread_local std::unique_ptr<void, Free> memory;
  thread_local std::size_t size = 0;
  const std::size_t wanted =
      round_up(static_cast<index_t>(static_cast<std::size_t>(count) * sizeof(T)) + 1, kAlignment);
  if (size < wanted || (size > kKept && wanted < size / 4)) {
    memory.reset();
    size = 0;
    memory.reset(std::aligned_alloc(kAlignment, wanted));
    if (!memory) throw std::bad_alloc();
    size = wanted;
  }
  return static_cast<T*>(memory.get());
}

}  // namespace rnnfast::python
