#include "cpu/recurrent.hpp"

namespace rnnfast::RNNFAST_ISA {

template struct RecurrentTable<double, AllCells>;

}  // namespace rnnfast::RNNFAST_ISA
