// One direction of one recurrent layer: packing of weights, forward, backward.
//
// Weights come as in PyTorch: weight_ih [G*H, I], weight_hh [G*H, O], bias_ih [G*H], bias_hh [G*H], gates in
// the cell's order; O, the size of h, is H, or P with a projection weight_hr [P, H]. The packed forms are
// private to the variant that made them.
//
// One step of sample n at time t: the state is reset where `resets` cuts; h' = h * hidden_mask enters
// weight_hh; the cell (with layer norm) and the projection make candidate states; zoneout mixes them with the
// old ones; y_t = h_t.
#pragma once

#include "api/conventions.hpp"
#include "api/random.hpp"
#include "base/parallel.hpp"

namespace rnnfast::api {

// Ba, Kiros & Hinton 2016: norm(v) = (v - mean) / sqrt(variance + 1e-5) over one sample's values of one step.
enum class LayerNorm {
  kNone,
  kSplit,  // gamma_ih norm(W_ih x) and gamma_hh norm(W_hh h'), each over all G*H, then the biases; a cell
           // whose h is an output of its state c sees gamma_c norm(c) + beta_c there
  kJoint,  // gamma norm(W_ih x + b_ih + W_hh h' + b_hh) + beta over all G*H
};

struct RecurrentDims {
  index_t batch, steps, inputs, hidden;
  index_t projection;  // P; 0: no projection
  LayerNorm layer_norm;
  bool masked;      // whether there is a hidden_mask
  index_t segment;  // steps whose tape is kept at once: `steps`, or fewer where backward recomputes the gates
  bool in_wave = false;  // whether it has a Wave; its tape is kept whole then

  RNNFAST_INLINE index_t outputs() const { return projection > 0 ? projection : hidden; }
  RNNFAST_INLINE index_t widest_state() const { return projection > hidden ? projection : hidden; }
  RNNFAST_INLINE index_t state_size(int state) const { return state == 0 ? outputs() : hidden; }
  RNNFAST_INLINE index_t segments() const { return segment > 0 ? ceil_div(steps, segment) : 0; }
};

// Threads own whole groups of so many samples, and sums over samples are first made within a group, so that
// they do not depend on the number of threads.
constexpr index_t kGroupRows = 8;

template <class T>
struct RecurrentWeights {
  index_t inputs, hidden, projection;
  int threads;
  const T* weight_ih;  // [G*H, I]
  const T* weight_hh;  // [G*H, O]
  const T* weight_hr;  // [P, H]; null without projection
  const T* bias_ih;    // [G*H] or null: no bias
  const T* bias_hh;    // [G*H] or null: no bias
  T* packed;           // out: [packed_size(inputs, hidden, projection)] of the pass it is packed for
};

// Weights that act on single units and are not packed, or the places of their gradients; null where there are
// none.
template <class T>
struct UnitWeights {
  T* weight_ch;  // [K*H]: the cell's unit weights (peepholes)
  T* gamma_ih;   // [G*H]: split
  T* gamma_hh;   // [G*H]: split
  T* gamma;      // [G*H]: joint
  T* beta;       // [G*H]: joint
  T* gamma_c;    // [H]: split, for cells whose h is an output of another state
  T* beta_c;     // [H]
};

// Zoneout (Krueger et al. 2017): s_t = m s_{t-1} + (1 - m) candidate; in training m is 1 with probability
// `rate` and 0 otherwise, drawn anew for every sample, time and unit (api/random.hpp); at inference m = rate.
struct Zoneout {
  double rate[kMostStates];
  bool training;
  RandomKey key[kMostStates];
};

// Layers of a stack at the same time, each on one thread: a layer goes as far as the one that it reads from
// has come. Steps are counted as they are done: forward from the first on, backward from the last.
struct Wave {
  const parallel::Progress* before;  // of what it reads; null: all is there
  parallel::Progress* own;           // null: nobody reads what it makes before its end

  // Steps behind which the next layer begins at the latest, forward and backward: until then its thread has
  // nothing to do (csrc/README.md).
  static RNNFAST_INLINE index_t part(index_t steps) { return ceil_div(steps, 8); }
  // Of `left` steps those that forward takes between two looks at the others.
  RNNFAST_INLINE index_t together(index_t steps, index_t left) const {
    constexpr index_t kMost = 16;
    if (before == nullptr && own == nullptr) return left;
    const index_t most = part(steps) < kMost ? part(steps) : kMost;
    return most < left ? most : left;
  }
  // Layers that are two apart may write to one place: behind this the earlier one has begun with all of it.
  RNNFAST_INLINE void wait_for_begin(index_t steps) const { wait_for(steps < 1 ? steps : 1); }
  RNNFAST_INLINE void wait_for(index_t steps) const {
    if (before != nullptr) before->wait_for(steps);
  }
  RNNFAST_INLINE void reach(index_t steps) const {
    if (own != nullptr) own->reach(steps);
  }
};

// What forward and backward of one call agree on.
template <class T>
struct RecurrentCall {
  RecurrentDims dims;
  bool reverse;  // true: a sample's steps run from its last time down to 0
  int threads;
  Sequence<const T> x;          // [N, T, I]
  const T* state[kMostStates];  // initial states [N, state_size]; null: zeros
  const std::int64_t* lengths;  // [N], each in 0 … T; null: all T. Padding is neither read nor computed
  Sequence<const bool> resets;  // [N, T], true: the state is cut between t-1 and t; data null: no cuts
  const T* reset_state[kMostStates];  // [state_size] what follows a cut; null: zeros
  const T* hidden_mask;               // [N, O] factors of h where it enters weight_hh; null: none
  Zoneout zoneout;
  UnitWeights<const T> unit;
  const T* packed;  // packed for forward
};

template <class T>
struct RecurrentForward {
  RecurrentCall<T> call;
  Sequence<T> y;                    // out: [N, T, O], h of every step; 0 on padding
  T* final_state[kMostStates];      // out: states after every sample's last step [N, state_size]
  Sequence<T> states[kMostStates];  // out: [N, T, state_size] states of every step but h, which is y; data
                                    // null: not wanted; [0] is not used
  T* tape;  // out: [rows of the longest segment, tape_row(dims)] for backward; null: nothing is kept, or
            // backward recomputes it (dims.segment < steps)
  T* checkpoints;  // out: [segments, states - 1, N, H] states but h before every segment; null: not wanted
  Wave wave;       // of x and y
  T* workspace;    // [forward_workspace(dims, threads)]
};

template <class T>
struct RecurrentGradients {
  T* dweight_ih;        // out: [G*H, I]
  T* dweight_hh;        // out: [G*H, O]
  T* dbias_ih;          // out: [G*H]; null together with dbias_hh: not wanted
  T* dbias_hh;          // out: [G*H]
  T* dweight_hr;        // out: [P, H]; null without projection
  UnitWeights<T> unit;  // out
  bool accumulate;      // add the gradients to what stands in these places, instead of overwriting it
};

template <class T>
struct RecurrentBackward {
  RecurrentCall<T> call;
  Sequence<const T> y;   // [N, T, O] as forward wrote it
  const T* packed;       // packed for backward
  T* tape;               // in: as forward wrote it, or uninitialised where it is recomputed; used up
  const T* checkpoints;  // as forward wrote them, where the tape is recomputed
  T bound;               // |dh_t| <= bound at every step before it enters the step; infinity: no bound
  Sequence<const T> dy;  // [N, T, O]; data null: zeros
  const T* dfinal_state[kMostStates];  // [N, state_size]; null: zeros
  Sequence<T> dx;                      // out: [N, T, I]; data null: not wanted; 0 on padding
  T* dstate[kMostStates];              // out: gradients of the initial states [N, state_size]
  T* dreset_state[kMostStates];  // out: [N, state_size] gradients of the reset state, by sample; null: not
                                 // wanted
  RecurrentGradients<T> gradients;
  Wave wave;     // of dy and dx
  T* workspace;  // [backward_workspace(dims, threads)]
};

// The kernels of one cell in one variant.
template <class T>
struct RecurrentKernels {
  index_t (*forward_packed_size)(index_t inputs, index_t hidden, index_t projection);
  index_t (*backward_packed_size)(index_t inputs, index_t hidden, index_t projection);
  void (*pack_forward)(const RecurrentWeights<T>&);
  void (*pack_backward)(const RecurrentWeights<T>&);
  index_t (*tape_row)(const RecurrentDims&);
  index_t (*forward_workspace)(const RecurrentDims&, int threads);
  index_t (*backward_workspace)(const RecurrentDims&, int threads);
  void (*forward)(const RecurrentForward<T>&);
  void (*backward)(const RecurrentBackward<T>&);
};

}  // namespace rnnfast::api
