// Gradients of narrow layers: a thread forms dx of its own samples and their part of the weights' gradients,
// where it has just made the gradients of their sums. In layers as small as these it costs more to carry the
// tape from one core to another than to multiply it.
//
// Sums over rows are made for every group of kGroupRows positions apart, from the last step to the first and
// positions ascending, and groups are added in order, as those of single units are
// (recurrent_unit_gradients.hpp): the same sums for any number of threads.
#pragma once

#include "kernels/narrow_outer_product.hpp"
#include "kernels/recurrent_products.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Cell, class T>
class GroupGradients {
  using V = Vec<T>;
  using Products = GradientProducts<Cell, T>;
  using Product = NarrowOuterProduct<T>;
  // Sums of one group stay in L2 beside its rows, and those of all groups take at most half as much memory as
  // the tape of the whole sequence. One group has no thread to share with. The bounds depend on sizes alone
  // and are the same for all instruction sets, as the order of summation is another where they hold.
  static constexpr index_t kMostSums = (64 << 10) / static_cast<index_t>(sizeof(T));
  static constexpr T kOne = 1;

 public:
  static bool suit(const api::RecurrentDims& dims) {
    constexpr index_t kWidest = 64 / static_cast<index_t>(sizeof(T));  // lanes of any instruction set
    const index_t sums =
        sums_of(dims, [](const GradientProduct<T>& product) { return round_up(product.outputs, kWidest); });
    const index_t tape = dims.steps * kGroupRows * TapeRow<Cell, T>(dims).stride;
    return dims.batch > kGroupRows && sums <= kMostSums && 2 * sums <= tape;
  }
  // A stretch has several steps even where its tape does not stay in a cache: to load and store all sums for
  // every step would take longer.
  static index_t fewest_rows(const api::RecurrentDims& dims) { return 8 * dims.batch; }
  // Of all products and one row.
  static double operations(const api::RecurrentDims& dims) {
    return 2.0 * static_cast<double>(
                     sums_of(dims, [](const GradientProduct<T>& product) { return product.outputs; }));
  }
  static index_t size(const api::RecurrentDims& dims) {
    return suit(dims) ? ceil_div(dims.batch, kGroupRows) * group_size(dims) : 0;
  }

  // tape: of the last one of `steps`, whose rows are the first.
  GroupGradients(const api::RecurrentBackward<T>& arguments, const Schedule<T>& schedule, const T* zeros,
                 const T* tape, parallel::Range steps, T* sums, Sums start)
      : arguments_(arguments),
        dims_(arguments.call.dims),
        schedule_(schedule),
        zeros_(zeros),
        tape_(tape),
        steps_(steps),
        sums_(sums),
        start_(start),
        size_(group_size(dims_)),
        row_(dims_),
        products_(products(dims_, arguments.gradients)) {}

  void run(const OwnPositions& own) const {
    for (index_t group = own.first; group < own.end; group += own.apart) run_group(group);
  }

  // All groups together, to where they belong. Threads share the inputs.
  static void finish(const api::RecurrentDims& dims, int threads, const T* sums,
                     const api::RecurrentGradients<T>& gradients) {
    const index_t groups = ceil_div(dims.batch, kGroupRows), size = group_size(dims);
    for (const GradientProduct<T>& product : products(dims, gradients)) {
      const index_t inputs = product.inputs(), stride = Product::stride(product.outputs);
      const auto deliver = [&](index_t m, T* to, index_t apart) {
        for (index_t n = 0; n < product.outputs; n += V::kLanes) {
          V total = V::zero();
          for (index_t group = 0; group < groups; ++group)
            total = total + V::load(sums + group * size + m * stride + n);
          T lanes[V::kLanes];
          total.store(lanes);
          for (index_t lane = 0; lane < V::kLanes && n + lane < product.outputs; ++lane)
            give(gradients, lanes[lane], to[(n + lane) * apart]);
        }
      };
      const int parts =
          parallel::worthwhile_parts(threads, static_cast<double>(groups * inputs * stride), inputs);
      parallel::for_each_part(parts, [&](int part) {
        const FlushDenormals flush;
        const parallel::Range own = parallel::share(inputs, parts, part, 1);
        for (index_t m = own.begin; m < own.end; ++m) {
          const auto place = ColumnRun<T>::find(product.run, m);
          deliver(m, place.data, place.stride);
        }
      });
      if (product.of_both_biases()) deliver(inputs - 1, gradients.dbias_hh, 1);
      sums += inputs * stride;
    }
  }

 private:
  static Products products(const api::RecurrentDims& dims, const api::RecurrentGradients<T>& gradients) {
    return Products(dims, gradients, true, Products::has_biases(dims, gradients));
  }

  // Over all products of a group, with biases: inputs times a function of the product.
  template <class Function>
  static index_t sums_of(const api::RecurrentDims& dims, const Function& of_input) {
    index_t sum = 0;
    for (const GradientProduct<T>& product : Products(dims, {}, true, true))
      sum += product.inputs() * of_input(product);
    return sum;
  }
  // Sums of different groups share no cache line, and begin in different cache sets.
  static index_t group_size(const api::RecurrentDims& dims) {
    const index_t sums =
        sums_of(dims, [](const GradientProduct<T>& product) { return Product::stride(product.outputs); });
    return round_up(sums, kRowPadding<T>) + kRowPadding<T>;
  }

  // Rows of several steps: so many that the sums are seldom loaded and stored.
  static constexpr index_t kBlockRows = 256;
  struct Block {
    index_t count = 0;
    const T* tape[kBlockRows];
    T* dx[kBlockRows];
    const T* factor[kFactors][kBlockRows];
  };

  void run_group(index_t group) const {
    if (start_ == kFresh) {
      for (index_t i = 0; i < size_; ++i) sums_[group * size_ + i] = T(0);
    }
    Block block;
    for (index_t step = steps_.end - 1; step >= steps_.begin; --step) {
      const index_t first = group * kGroupRows, active = schedule_.active(step);
      const index_t end = active < first + kGroupRows ? active : first + kGroupRows;
      if (block.count + kGroupRows > kBlockRows) add(block, group);
      for (index_t position = first; position < end; ++position) {
        const index_t n = schedule_.sample(position), t = schedule_.time(n, step), r = block.count++;
        const T* const tape =
            tape_ + (schedule_.row(step, position) - schedule_.row(steps_.end - 1, 0)) * row_.stride;
        block.tape[r] = tape;
        if (arguments_.dx.data != nullptr) block.dx[r] = arguments_.dx.at(n, t);
        const auto factor = [&block, r](Factor of) -> const T*& {
          return block.factor[static_cast<int>(of)][r];
        };
        factor(Factor::kInputs) = arguments_.call.x.at(n, t);
        factor(Factor::kOperand) =
            dims_.masked ? tape + row_.operand : hidden_before(arguments_, schedule_, n, step, zeros_);
        factor(Factor::kGated) = tape + row_.gated;
        factor(Factor::kUnprojected) = tape + row_.unprojected;
        factor(Factor::kOne) = &kOne;
      }
    }
    add(block, group);
  }

  void add(Block& block, index_t group) const {
    if (block.count == 0) return;
    if (arguments_.dx.data != nullptr) {
      const Segments dsums{1, {{row_.dsums, Cell::kGates * dims_.hidden}}};
      row_product<T>(1, block.count, dims_.inputs, dsums, {nullptr, 0, block.tape}, arguments_.packed, zeros_,
                     {nullptr, 0, block.dx});
    }
    T* sums = sums_ + group * size_;
    for (const GradientProduct<T>& product : products_) {
      typename GatheredRows<T>::Part parts[3];
      for (int f = 0; f < product.factors; ++f)
        parts[f] = {block.factor[static_cast<int>(product.factor[f])], product.run[f].columns};
      const parallel::Range outputs{product.column, product.column + product.outputs};
      const index_t inputs = product.inputs();
      Product::add(outputs, {0, inputs}, {0, block.count}, {nullptr, 0, block.tape}, GatheredRows<T>{parts},
                   sums);
      sums += inputs * Product::stride(product.outputs);
    }
    block.count = 0;
  }

  const api::RecurrentBackward<T>& arguments_;
  const api::RecurrentDims& dims_;
  const Schedule<T>& schedule_;
  const T *const zeros_, *const tape_;
  const parallel::Range steps_;
  T* const sums_;
  const Sums start_;
  const index_t size_;
  const TapeRow<Cell, T> row_;
  const Products products_;
};

}  // namespace rnnfast::RNNFAST_ISA
