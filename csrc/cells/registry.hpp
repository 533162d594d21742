// The list of cells: bindings, both dtypes, every variant, layers, tests and benchmarks follow from this one
// line.
#pragma once

#include "cells/gru.hpp"
#include "cells/lstm.hpp"
#include "cells/vanilla_rnn.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class... Cells>
struct CellList {};

using AllCells = CellList<VanillaRnn<Tanh>, VanillaRnn<Relu>, Lstm<false, false>, Lstm<true, false>,
                          Lstm<false, true>, Lstm<true, true>, Gru, GruResetBefore>;

}  // namespace rnnfast::RNNFAST_ISA
