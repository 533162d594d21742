// What a cell is: compile-time facts and two pure functions on a vector type V. No loop over time, no memory
// layout.
//
//   name                  the cell's name in the registry
//   gates[kGates]         names of the gates, in the order of the weights' rows
//   states[kStates]       names of the states; states[0] is h, the output and what enters weight_hh
//   kSums                 running sums per hidden unit that the driver forms before the cell acts
//   kInputSum[g]          the sum that gate g's input product adds to
//   kHiddenSum[g]         the sum that its hidden product adds to: mostly the same one; another where the gate
//                         must see the products apart (GRU's n)
//   kTape                 how many of the tape's kSums slots forward fills
//   forward(sum, previous, next, tape)
//                         sums and states of the step before -> states of this step; the tape is for backward
//   backward(tape, previous, next, dnext, dsum, dprevious)
//                         gradients of the new states -> gradients of the sums and, apart from what flows
//                         through weight_hh, of the previous states
//
// The driver stores dsum over the tape's values, hence tape and sums have the same number of slots.
// Derivatives are written from the outputs of the activations: sigmoid' = s (1 - s), tanh' = 1 - t^2.
#pragma once

#include "math/activations.hpp"
