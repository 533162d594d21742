// Arrays without pybind11's casters, for calls that are counted in nanoseconds: whether an object is an array
// as kernels read it, and new arrays. What is not plain is no error here: the caller then goes the long way,
// where Python checks, converts and words the errors.
#pragma once

#include <algorithm>
#include <array>
#include <new>
#include <utility>
#include <vector>

#include "python/array.hpp"

namespace rnnfast::python {

template <class T>
struct NumpyType {
  PyTypeObject* array;
  PyObject* descriptor;  // NumPy's own, of native byte order; borrowed for ever

  static const NumpyType& get() {
    static const NumpyType type = [] {
      const auto& numpy = py::detail::npy_api::get();
      return NumpyType{numpy.PyArray_Type_, py::dtype::of<T>().release().ptr()};
    }();
    return type;
  }
};

inline const py::detail::PyArray_Proxy* fields(PyObject* array) { return py::detail::array_proxy(array); }

// An array, of no subclass, of T, with so many axes.
template <class T>
bool is_array(PyObject* object, int axes) {
  const NumpyType<T>& type = NumpyType<T>::get();
  return Py_TYPE(object) == type.array && fields(object)->nd == axes &&
         (fields(object)->descr == type.descriptor ||
          py::detail::npy_api::get().PyArray_EquivTypes_(fields(object)->descr, type.descriptor));
}

// The same, aligned and C-contiguous, of this shape.
template <class T, std::size_t kAxes>
bool is_plain(PyObject* object, const std::array<index_t, kAxes>& shape) {
  constexpr int kFlags =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if (!is_array<T>(object, kAxes) || (fields(object)->flags & kFlags) != kFlags) return false;
  for (std::size_t axis = 0; axis < kAxes; ++axis) {
    if (fields(object)->dimensions[axis] != shape[axis]) return false;
  }
  return true;
}

// Rows of `columns` elements along the last of so many axes, any whole number of elements apart.
template <class T>
bool is_rows(PyObject* object, int axes, index_t columns) {
  constexpr py::ssize_t kSize = sizeof(T);
  if (!is_array<T>(object, axes)) return false;
  const py::detail::PyArray_Proxy* const array = fields(object);
  const int last = axes - 1;
  if (array->dimensions[last] != columns) return false;
  if ((array->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) return false;
  bool empty = false, whole = columns <= 1 || array->strides[last] == kSize;
  for (int axis = 0; axis < last; ++axis) {
    empty = empty || array->dimensions[axis] == 0;
    whole = whole && array->strides[axis] % kSize == 0;
  }
  return empty || whole;  // NumPy gives empty arrays any strides
}

// Plain and of the shape of `other`.
template <class T>
bool is_plain_like(PyObject* object, PyObject* other) {
  constexpr int kFlags =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  const int axes = fields(other)->nd;
  return is_array<T>(object, axes) && (fields(object)->flags & kFlags) == kFlags &&
         std::equal(fields(other)->dimensions, fields(other)->dimensions + axes, fields(object)->dimensions);
}

inline bool is_writable(PyObject* array) {
  return (fields(array)->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0;
}

inline index_t size_of(PyObject* array) {
  index_t size = 1;
  for (int axis = 0; axis < fields(array)->nd; ++axis) size *= fields(array)->dimensions[axis];
  return size;
}

template <class T>
T* data_of(PyObject* array) {
  return reinterpret_cast<T*>(fields(array)->data);
}

// A new array of undefined values.
template <class T>
py::object new_array(const index_t* shape, int axes) {
  const NumpyType<T>& type = NumpyType<T>::get();
  Py_INCREF(type.descriptor);  // which the array takes over
  PyObject* const array = py::detail::npy_api::get().PyArray_NewFromDescr_(
      type.array, type.descriptor, axes, shape, nullptr, nullptr, 0, nullptr);
  if (array == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(array);
}
template <class T, std::size_t kAxes>
py::object new_array(const std::array<index_t, kAxes>& shape) {
  return new_array<T>(shape.data(), static_cast<int>(kAxes));
}
// The same with these strides, in bytes, and beginning at a cache line, which NumPy does not promise.
template <class T>
py::array new_array_at_cache_line(std::vector<index_t> shape, std::vector<index_t> strides) {
  constexpr index_t kLine = 64, kSize = sizeof(T);
  index_t size = 1;
  for (const index_t axis : shape) size *= axis;
  const py::object memory = new_array<T>(Flat{size + kLine / kSize});
  const index_t at = round_up(reinterpret_cast<index_t>(data_of<T>(memory.ptr())), kLine);
  return py::array(py::dtype::of<T>(), std::move(shape), std::move(strides),
                   reinterpret_cast<const void*>(at), memory);
}
// Flat, for packed weights: of weights that begin 16 bytes behind a line every second AVX2 load takes two.
template <class T>
py::array new_packed(index_t size) {
  return new_array_at_cache_line<T>({size}, {static_cast<index_t>(sizeof(T))});
}
// The axes of `array` but the last, which has `columns`.
template <class T>
py::object new_array_like(const py::array& array, index_t columns) {
  constexpr int kMostAxes = 64;  // NumPy's own limit
  index_t shape[kMostAxes];
  const int axes = static_cast<int>(array.ndim());
  std::copy(array.shape(), array.shape() + axes, shape);
  shape[axes - 1] = columns;
  return new_array<T>(shape, axes);
}

// target += source for arrays that are alike, pair by pair (bind_memory.cpp).
using Objects = std::vector<py::object>;
void accumulate(const Objects& targets, const Objects& sources);

// Runs body() -> PyObject*, with C++ exceptions turned into Python's.
template <class Body>
PyObject* guarded(Body&& body) {
  try {
    return body();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

}  // namespace rnnfast::python
