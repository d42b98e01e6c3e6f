// Products of bf16 by oneDNN's matmul, its primitives made once for each problem and kept in the device's context. One
// is faster than sgemm with copies of its operands in f32 at every size: with one thread of a Zen 5, 6 x 7 x 5 (m, n,
// k) takes 0.3 us (sgemm 0.2), 64 x 128 x 64 2.7 us (5.7), 512 x 128 x 64 18 us (39), 1024 x 1024 x 1024 4.2 ms (8.9).
#include "kernels/cpu/gemm_onednn.hpp"

#include <omp.h>

#include <bit>
#include <map>
#include <tuple>
#include <vector>

#include "kernels/cpu/blas_parts.hpp"
#include "kernels/cpu/onednn.hpp"

namespace rtl::kernels::cpu {
namespace {

using dnnl::memory;

struct Key {
  bool transpose_a, transpose_b, bias;
  memory::data_type result;
  std::int64_t m, n, k, lda, ldb, ldc;
  std::uint32_t alpha, beta;  ///< their bits
  auto tied() const { return std::tie(m, n, k, transpose_a, transpose_b, bias, result, lda, ldb, ldc, alpha, beta); }
  friend bool operator<(const Key& a, const Key& b) { return a.tied() < b.tied(); }
};

template <typename Result>
Key key_of(const Problem<bfloat16, Result>& p) {
  return {p.transpose_a,
          p.transpose_b,
          p.bias != nullptr,
          onednn_type<Result>(),
          p.m,
          p.n,
          p.k,
          p.lda,
          p.ldb,
          p.ldc,
          std::bit_cast<std::uint32_t>(p.alpha),
          std::bit_cast<std::uint32_t>(p.beta)};
}

/// What one thread multiplies.
struct Operands {
  memory a, b, c, bias, scratch;
};

struct Plan {
  dnnl::matmul product;
  std::vector<Operands> operands;  ///< one for each thread
};

/// A matrix whose rows, or columns, are `leading` apart.
memory::desc matrix(std::int64_t rows, std::int64_t columns, memory::data_type type, bool transposed,
                    std::int64_t leading) {
  return {{rows, columns}, type, transposed ? memory::dims{1, leading} : memory::dims{leading, 1}};
}

/// Negative numbers become 0, NaN stays: oneDNN's relu would hide it.
float relu(float value) { return value < 0.0F ? 0.0F : value; }
bfloat16 relu(bfloat16 value) {
  // As integers, what has a sign goes up from -0 over -infinity, 0xff80, to NaN.
  constexpr std::int16_t minus_infinity = -128;
  const auto bits = static_cast<std::int16_t>(value.bits);
  return {static_cast<std::uint16_t>(bits <= minus_infinity ? 0 : bits)};
}

template <typename Result>
void apply_relu(const Problem<bfloat16, Result>& p) {
  for (std::int64_t i = 0; i < p.m; ++i) {
    Result* row = p.c + i * p.ldc;
#pragma omp simd
    for (std::int64_t j = 0; j < p.n; ++j) row[j] = relu(row[j]);
  }
}

}  // namespace

/// Primitives of past calls, each for one thread. A plan holds the operands of its call, so each call at a time has
/// plans of its own.
class ProductPlans {
 public:
  explicit ProductPlans(detail::Context&) {}

  /// Batches of many different sizes would otherwise grow the cache for ever.
  void make_room() {
    constexpr std::size_t capacity = 512;
    if (plans_.size() >= capacity) plans_.clear();
  }
  void prepare(const Key& key, int threads) {
    Plan& plan = plans_[key];
    if (plan.operands.size() < static_cast<std::size_t>(threads)) make(key, threads, plan);
  }
  Plan& at(const Key& key) { return plans_.at(key); }
  const dnnl::stream& stream() const { return onednn_.stream; }

 private:
  void make(const Key& key, int threads, Plan& plan) const {
    ensure_onednn_memory();
    const OneThread one;
    const memory::desc a = matrix(key.m, key.k, memory::data_type::bf16, key.transpose_a, key.lda);
    const memory::desc b = matrix(key.k, key.n, memory::data_type::bf16, key.transpose_b, key.ldb);
    const memory::desc c = matrix(key.m, key.n, key.result, false, key.ldc);
    const memory::desc bias({1, key.n}, memory::data_type::f32, memory::dims{key.n, 1});
    const auto alpha = std::bit_cast<float>(key.alpha);
    dnnl::primitive_attr attributes;
    dnnl::post_ops after;
    if (key.beta != 0) after.append_sum(std::bit_cast<float>(key.beta));
    if (alpha != 1) {
      attributes.set_output_scales(0, {alpha});
      // oneDNN multiplies the bias of its product, too, by alpha. As an operation behind it, it is slower.
      if (key.bias) after.append_binary(dnnl::algorithm::binary_add, bias);
    }
    attributes.set_post_ops(after);
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const auto& engine = onednn_.engine;
    const auto operation = key.bias && alpha == 1 ? dnnl::matmul::desc(a, b, bias, c) : dnnl::matmul::desc(a, b, c);
    const dnnl::matmul::primitive_desc descriptor(operation, attributes, engine);
    plan.product = dnnl::matmul(descriptor);
    while (plan.operands.size() < static_cast<std::size_t>(threads)) {
      plan.operands.push_back({memory(a, engine, DNNL_MEMORY_NONE), memory(b, engine, DNNL_MEMORY_NONE),
                               memory(c, engine, DNNL_MEMORY_NONE), memory(bias, engine, DNNL_MEMORY_NONE),
                               memory(descriptor.scratchpad_desc(), engine)});
    }
  }

  OneDnn onednn_;
  std::map<Key, Plan> plans_;
};

template <typename Result>
Bf16Products<Result>::Bf16Products(const Device& device, int team)
    : plans_(Lender<ProductPlans>::lend(device)), team_(team) {
  plans_->make_room();
}

template <typename Result>
Bf16Products<Result>::~Bf16Products() = default;

template <typename Result>
void Bf16Products<Result>::prepare(const Problem<bfloat16, Result>& p) {
  with_onednn("gemm", [&] { plans_->prepare(key_of(p), team_); });
}

template <typename Result>
void Bf16Products<Result>::multiply(const Problem<bfloat16, Result>& p) {
  with_onednn("gemm", [&] {
    Plan& plan = plans_->at(key_of(p));
    Operands& mine = plan.operands[team_ == 1 ? 0 : static_cast<std::size_t>(omp_get_thread_num())];
    mine.a.set_data_handle(onednn_handle(p.a));
    mine.b.set_data_handle(onednn_handle(p.b));
    mine.c.set_data_handle(p.c);
    const dnnl_exec_arg_t left{DNNL_ARG_SRC, mine.a.get()}, right{DNNL_ARG_WEIGHTS, mine.b.get()};
    const dnnl_exec_arg_t result{DNNL_ARG_DST, mine.c.get()}, scratch{DNNL_ARG_SCRATCHPAD, mine.scratch.get()};
    if (p.bias == nullptr) return execute(plan.product, plans_->stream(), {left, right, result, scratch});
    mine.bias.set_data_handle(onednn_handle(p.bias));
    const int place = DNNL_ARG_ATTR_MULTIPLE_POST_OP(p.beta != 0 ? 1 : 0) | DNNL_ARG_SRC_1;
    const dnnl_exec_arg_t bias{p.alpha == 1 ? DNNL_ARG_BIAS : place, mine.bias.get()};
    execute(plan.product, plans_->stream(), {left, right, result, scratch, bias});
  });
  if (p.relu) apply_relu(p);
}

template class Bf16Products<float>;
template class Bf16Products<bfloat16>;

}  // namespace rtl::kernels::cpu
