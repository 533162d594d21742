// One of the files of a CPU variant: its recurrent kernels in float64. Their table is in variant.cpp.
#include "cpu/recurrent_kernels.hpp"

namespace rnnfast::RNNFAST_ISA {

constinit const KernelsOfCells<double> recurrent_double = kernels_of<double>(AllCells{});

}  // namespace rnnfast::RNNFAST_ISA
