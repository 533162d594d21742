// One recurrent layer of one input, written by hand for sizes that the compiler knows: the strongest plain
// loop that we can write, and what `rnnfast bench blocks` compares a live stream with.
//
// Weights of the hidden state lie as [block of units][k][gate][vector], so that the product over k runs down
// memory with all sums of a block in registers. Sums of few vectors are split in two over k: one multiply-add
// waits for the last one otherwise. Activations are a polynomial of exp on vectors. Compiled with -O3
// -march=native -ffast-math. Not here: batches, several inputs, gradients, any size but those at the end.

#include <cstdint>
#include <cstring>
#include <memory>

#include "layer.h"

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#else
constexpr int kLanes = 8;
#endif
typedef float Vec __attribute__((vector_size(kLanes * sizeof(float)), aligned(kLanes * sizeof(float))));
typedef int32_t Int __attribute__((vector_size(kLanes * sizeof(float))));

#define INLINE inline __attribute__((always_inline))

INLINE Vec load(const float* from) {
  Vec value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// e^x for |x| up to 87: 2^n e^r with |r| <= ln 2 / 2, Taylor's polynomial of degree 6 (error below 2e-7).
INLINE Vec exponential(Vec x) {
  x = x > 87.0f ? Vec{} + 87.0f : x;
  x = x < -87.0f ? Vec{} - 87.0f : x;
  const Int shifted = __builtin_convertvector(x * 1.44269504f + 127.5f, Int);
  const Vec r = x - (__builtin_convertvector(shifted, Vec) - 127.0f) * 0.69314718f;
  Vec p = r * (1.0f / 720) + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * reinterpret_cast<Vec>(shifted << 23);
}

INLINE Vec sigmoid(Vec x) { return 1.0f / (1.0f + exponential(-x)); }
INLINE Vec hyperbolic_tangent(Vec x) { return 1.0f - 2.0f / (1.0f + exponential(2.0f * x)); }

// As many units at a time as leave G gates' sums in about twelve registers.
template <int G, int H>
struct Blocks {
  static constexpr int kVectors = H / kLanes;
  static constexpr int kFit = kLanes == 16 ? 24 / G : 12 / G;
  static constexpr int kWidth = kVectors <= kFit ? kVectors : (kFit >= 4 ? 4 : (kFit >= 2 ? 2 : 1));
  static constexpr int kCount = kVectors / kWidth;
  static constexpr int kSplit = G * kWidth < 8 ? 2 : 1;
  static constexpr int kParts = kSplit == 2 && G * kWidth < 3 ? 4 : kSplit;
  static_assert(kVectors % kWidth == 0 && H % kParts == 0, "units must fill whole blocks");
};

template <int G, int H>
struct Weights {
  using B = Blocks<G, H>;
  Vec hidden[B::kCount][H][G][B::kWidth];
  Vec input[B::kCount][G][B::kWidth];
  Vec bias_input[B::kCount][G][B::kWidth];
  Vec bias_hidden[B::kCount][G][B::kWidth];

  Weights(const float* weight_ih, const float* weight_hh, const float* bias_ih, const float* bias_hh) {
    for (int unit = 0; unit < H; ++unit) {
      const int block = unit / (kLanes * B::kWidth), lane = unit % kLanes;
      const int vector = unit / kLanes % B::kWidth;
      for (int gate = 0; gate < G; ++gate) {
        const int row = gate * H + unit;
        input[block][gate][vector][lane] = weight_ih[row];
        bias_input[block][gate][vector][lane] = bias_ih[row];
        bias_hidden[block][gate][vector][lane] = bias_hh[row];
        for (int k = 0; k < H; ++k) hidden[block][k][gate][vector][lane] = weight_hh[row * H + k];
      }
    }
  }

  // sums += W_hh h for the units of one block.
  INLINE void product(int block, const float* h, Vec (&sums)[G][B::kWidth]) const {
    Vec parts[B::kParts][G][B::kWidth];
    for (int gate = 0; gate < G; ++gate)
      for (int vector = 0; vector < B::kWidth; ++vector) {
        parts[0][gate][vector] = sums[gate][vector];
        for (int part = 1; part < B::kParts; ++part) parts[part][gate][vector] = Vec{};
      }
    const auto& weights = hidden[block];
    for (int k = 0; k < H; k += B::kParts)
#pragma GCC unroll 4
      for (int part = 0; part < B::kParts; ++part) {
        const Vec value = Vec{} + h[k + part];
#pragma GCC unroll 4
        for (int gate = 0; gate < G; ++gate)
#pragma GCC unroll 8
          for (int vector = 0; vector < B::kWidth; ++vector)
            parts[part][gate][vector] += weights[k + part][gate][vector] * value;
      }
#pragma GCC unroll 4
    for (int gate = 0; gate < G; ++gate)
#pragma GCC unroll 8
      for (int vector = 0; vector < B::kWidth; ++vector) {
        sums[gate][vector] = parts[0][gate][vector];
        for (int part = 1; part < B::kParts; ++part) sums[gate][vector] += parts[part][gate][vector];
      }
  }
};

struct Layer {
  virtual ~Layer() = default;
  virtual void reset() = 0;
  virtual void process(const float* x, float* y, int samples) = 0;
};

template <class Cell, int G, int H>
struct Fixed final : Layer {
  using B = Blocks<G, H>;
  Weights<G, H> weights;
  alignas(64) float h[2][H];
  Vec c[B::kCount][B::kWidth];

  template <class... Pointers>
  explicit Fixed(Pointers... pointers) : weights(pointers...) {
    reset();
  }

  void reset() override {
    std::memset(h, 0, sizeof h);
    std::memset(c, 0, sizeof c);
  }

  void process(const float* x, float* y, int samples) override {
    const float* before = h[0];
    for (int sample = 0; sample < samples; ++sample, y += H) {
      const Vec value = Vec{} + x[sample];
      for (int block = 0; block < B::kCount; ++block) {
        Vec of_input[G][B::kWidth], sums[G][B::kWidth];
#pragma GCC unroll 4
        for (int gate = 0; gate < G; ++gate)
#pragma GCC unroll 8
          for (int vector = 0; vector < B::kWidth; ++vector) {
            of_input[gate][vector] =
                weights.bias_input[block][gate][vector] + weights.input[block][gate][vector] * value;
            sums[gate][vector] = weights.bias_hidden[block][gate][vector];
          }
        weights.product(block, before, sums);
#pragma GCC unroll 8
        for (int vector = 0; vector < B::kWidth; ++vector) {
          const int unit = (block * B::kWidth + vector) * kLanes;
          Vec p[G], q[G];
          for (int gate = 0; gate < G; ++gate) {
            p[gate] = of_input[gate][vector];
            q[gate] = sums[gate][vector];
          }
          const Vec next = Cell::step(p, q, load(before + unit), c[block][vector]);
          std::memcpy(y + unit, &next, sizeof next);
        }
      }
      before = y;
    }
    std::memcpy(h[0], before == h[0] ? h[0] : before, sizeof h[0]);
  }
};

struct Lstm {
  static constexpr int kGates = 4;
  static INLINE Vec step(const Vec* p, const Vec* q, Vec, Vec& c) {
    c = sigmoid(p[1] + q[1]) * c + sigmoid(p[0] + q[0]) * hyperbolic_tangent(p[2] + q[2]);
    return sigmoid(p[3] + q[3]) * hyperbolic_tangent(c);
  }
};

struct Gru {
  static constexpr int kGates = 3;
  static INLINE Vec step(const Vec* p, const Vec* q, Vec h, Vec&) {
    const Vec n = hyperbolic_tangent(p[2] + sigmoid(p[0] + q[0]) * q[2]);
    return n + sigmoid(p[1] + q[1]) * (h - n);
  }
};

struct RnnTanh {
  static constexpr int kGates = 1;
  static INLINE Vec step(const Vec* p, const Vec* q, Vec, Vec&) { return hyperbolic_tangent(p[0] + q[0]); }
};

template <class Cell, class... Pointers>
Layer* of_size(int hidden, Pointers... pointers) {
  switch (hidden) {
    case 16:
      return new Fixed<Cell, Cell::kGates, 16>(pointers...);
    case 32:
      return new Fixed<Cell, Cell::kGates, 32>(pointers...);
    case 64:
      return new Fixed<Cell, Cell::kGates, 64>(pointers...);
    default:
      return nullptr;
  }
}

}  // namespace

void* layer_create(const char* cell, int hidden, const float* weight_ih, const float* weight_hh,
                   const float* bias_ih, const float* bias_hh) {
  if (!std::strcmp(cell, "lstm")) return of_size<Lstm>(hidden, weight_ih, weight_hh, bias_ih, bias_hh);
  if (!std::strcmp(cell, "gru")) return of_size<Gru>(hidden, weight_ih, weight_hh, bias_ih, bias_hh);
  if (!std::strcmp(cell, "rnn_tanh")) return of_size<RnnTanh>(hidden, weight_ih, weight_hh, bias_ih, bias_hh);
  return nullptr;
}
void layer_process(void* layer, const float* x, float* y, int samples) {
  static_cast<Layer*>(layer)->process(x, y, samples);
}
void layer_reset(void* layer) { static_cast<Layer*>(layer)->reset(); }
void layer_destroy(void* layer) { delete static_cast<Layer*>(layer); }
