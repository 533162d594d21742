#include "cpu/recurrent.hpp"

namespace rnnfast::RNNFAST_ISA {

template struct RecurrentTable<float, AllCells>;

}  // namespace rnnfast::RNNFAST_ISA
