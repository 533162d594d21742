// What a cell is: compile-time facts and pure functions on a vector type V. No loop over time, no memory
// layout.
//
//   name             the cell's name in the registry
//   gates[kGates]    names of the gates, in the order of the weights' rows
//   states[kStates]  names of the states; states[0] is h, the output and what enters weight_hh
//   kSums            running sums per hidden unit that the driver forms before the cell acts
//   kInputSum[g]     the sum that gate g's input product adds to
//   kHiddenSum[g]    the sum that its hidden product adds to: mostly the same one; another where the gate
//                    must see the products apart (GRU's n)
//   kTape            how many of the tape's kSums slots forward fills
//   kUnitWeights     weights per hidden unit that act on single units (peepholes); unit_weights[] names the
//                    gates they act on
//   kOutputState     the state that h is an output of (LSTM: c), or 0: `state` makes h as well. Layer norm
//                    and the projection stand between such a state and h. kOutputSum is the sum that only
//                    `output` reads
//   kReadsPrevious   where kOutputState is 0: whether `state_gradient` reads the h before the step,
//                    previous[0], or the one behind it, next[0]
//   kGatedSums       how many leading sums, and gates, must be complete before the rest of the hidden
//                    product, whose operand is gate(sum[0]) h (GRU with the reset gate before the product);
//                    0: one product
//
//   state(sum, previous, unit, next, tape)
//                    sums, states of the step before, unit weights -> new states; the tape is for backward
//   state_gradient(tape, previous, next, unit, dnext, dsum, dprevious, dunit)
//                    gradients of the new states -> gradients of the sums, of the unit weights and, apart
//                    from what flows through weight_hh, of the previous states. `next` holds h only
// With kOutputState, where h may be projected to another size and previous[0] is therefore zero:
//   output(tape, c)  h from the state it is an output of, or from that state's norm
//   output_state(tape, previous)
//                    that state again, with the bits of `state`
//   output_gradient(tape, c, dh, dc, dsum)
//                    gradient of h -> of what `output` was given, and of dsum[kOutputSum]
// With kGatedSums:
//   gate(sum)        the gate from sum[0], which `state` then finds in place of that sum
//   gate_gradient(gate, operand, doperand, dsum)
//                    gradient of gate h -> of h, and of sum[0]; `state_gradient` leaves the gate in dsum[0]
//
// The driver stores dsum over the tape's values, hence tape and sums have the same number of slots.
// Derivatives are written from the outputs of the activations: sigmoid' = s (1 - s), tanh' = 1 - t^2.
#pragma once

#include "math/activations.hpp"

namespace rnnfast::RNNFAST_ISA {

// Arrays of no elements are not C++: a cell without unit weights has room for one, which is never read.
template <class Cell>
constexpr int kUnitSlots = Cell::kUnitWeights > 0 ? Cell::kUnitWeights : 1;

}  // namespace rnnfast::RNNFAST_ISA
