// One of the files of a CPU variant: the kernels of layers without recurrence, apart so that compilers share
// the work. Their table is in variant.cpp.
#include "cpu/sequence_layers.hpp"

namespace rnnfast::RNNFAST_ISA {

RNNFAST_SEQUENCE_LAYERS(template)

}  // namespace rnnfast::RNNFAST_ISA
