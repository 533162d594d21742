// One of the files of a CPU variant: its recurrent kernels in float32. Their table is in variant.cpp.
#include "cpu/recurrent_kernels.hpp"

namespace rnnfast::RNNFAST_ISA {

constinit const KernelsOfCells<float> recurrent_float = kernels_of<float>(AllCells{});

}  // namespace rnnfast::RNNFAST_ISA
