// Masks of dropout: see api/random.hpp for the mapping from (n, t, unit) to random words.
#pragma once

#include "api/random.hpp"
#include "math/random.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class T>
void dropout_mask(const api::DropoutMask<T>& arguments) {
  const T kept = static_cast<T>(1.0 / (1.0 - arguments.rate));
  T* to = arguments.mask;
  for (index_t n = 0; n < arguments.batch; ++n) {
    for (index_t t = 0; t < arguments.steps; ++t) {
      for (index_t unit = 0; unit < arguments.units; unit += 4) {
        const PhiloxBlock block = philox({{static_cast<std::uint32_t>(unit / 4),
                                           static_cast<std::uint32_t>(t), static_cast<std::uint32_t>(n), 0}},
                                         arguments.key[0], arguments.key[1]);
        for (index_t lane = 0; lane < 4 && unit + lane < arguments.units; ++lane) {
          *to++ = static_cast<double>(block.word[lane] >> 8) * 0x1p-24 < arguments.rate ? T(0) : kept;
        }
      }
    }
  }
}

}  // namespace rnnfast::RNNFAST_ISA
