// What calls that are counted in nanoseconds find out without pybind11's casters: flags given by name, and
// whether parameters are what they were.
#pragma once

#include <initializer_list>
#include <utility>

#include "python/array.hpp"

namespace rnnfast::python {

// Sets flags that are given by name (METH_FASTCALL | METH_KEYWORDS); false where one is unknown. names: null
// where there are none; values: theirs.
inline bool read_flags(PyObject* names, PyObject* const* values,
                       std::initializer_list<std::pair<const char*, bool*>> flags) {
  const Py_ssize_t count = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  Py_ssize_t known = 0;
  for (Py_ssize_t k = 0; k < count; ++k) {
    for (const auto& [name, flag] : flags) {
      if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, k), name) != 0) continue;
      *flag = values[k] == Py_True;
      ++known;
    }
  }
  return known == count;
}

// Whoever holds parameters: `stamp` is another object whenever they may have changed.
struct Guard {
  py::object holder;
  py::object stamp;

  bool holds() const {
    static PyObject* const name = PyUnicode_InternFromString("stamp");
    PyObject* const now = PyObject_GetAttr(holder.ptr(), name);
    if (now == nullptr) throw py::error_already_set();
    // None: nobody can tell.
    const int same = now == Py_None ? 0 : PyObject_RichCompareBool(now, stamp.ptr(), Py_EQ);
    Py_DECREF(now);
    if (same < 0) throw py::error_already_set();
    return same == 1;
  }
};

}  // namespace rnnfast::python
