// Pooling, flattening and the parameter-free shortcut, on activations of a few tens of megabytes.
#include "rtl/kernels/pool.hpp"

#include "kernels.hpp"

namespace rtl::bench {

void add_pool_kernels(const Device& device, KernelCases& cases) {
  const kernels::PoolOptions halving;
  const Shared x = shared_values({128, 32, 32, 32}, device);
  const Shared y = shared_zeros({128, 16, 16, 32}, DType::f32, device);
  const Shared winners = shared_zeros(y->shape(), DType::i32, device);
  const Shared means = shared_zeros({128, 32}, DType::f32, device);
  const Shared rows = shared_zeros({128, 32 * 32 * 32}, DType::f32, device);
  const Shared wide = shared_zeros({128, 16, 16, 64}, DType::f32, device);
  const std::string sizes = "128x32x32x32";
  const auto both = [](const Shared& a, const Shared& b) { return static_cast<double>(a->bytes() + b->bytes()); };
  const auto count = static_cast<double>(x->count());
  const auto with_winners = both(x, y) + static_cast<double>(winners->bytes());
  cases.push_back({"max_pool_forward", sizes, count, with_winners,
                   [=] { kernels::max_pool_forward(device, *x, halving, *y, *winners); }});
  cases.push_back({"max_pool_backward", sizes, 0, with_winners,
                   [=] { kernels::max_pool_backward(device, *y, *winners, halving, *x); }});
  cases.push_back({"max_pool_gather", sizes, 0, with_winners,
                   [=] { kernels::max_pool_gather(device, *x, *winners, halving, *y); }});
  cases.push_back({"average_pool_forward", sizes, count, both(x, y),
                   [=] { kernels::average_pool_forward(device, *x, halving, *y); }});
  cases.push_back({"average_pool_backward", sizes, count, both(x, y),
                   [=] { kernels::average_pool_backward(device, *y, halving, *x); }});
  cases.push_back({"global_average_pool_forward", sizes, count, both(x, means),
                   [=] { kernels::global_average_pool_forward(device, *x, *means); }});
  cases.push_back({"global_average_pool_backward", sizes, count, both(x, means),
                   [=] { kernels::global_average_pool_backward(device, *means, *x); }});
  cases.push_back({"flatten_forward", sizes, 0, both(x, rows), [=] { kernels::flatten_forward(device, *x, *rows); }});
  cases.push_back({"flatten_backward", sizes, 0, both(x, rows), [=] { kernels::flatten_backward(device, *rows, *x); }});
  // Only every fourth pixel is read.
  cases.push_back({"shortcut_a_forward", sizes, 0, static_cast<double>(x->bytes()) / 4 + both(wide, means),
                   [=] { kernels::shortcut_a_forward(device, *x, *wide); }});
  cases.push_back(
      {"shortcut_a_backward", sizes, 0, both(x, y), [=] { kernels::shortcut_a_backward(device, *wide, *x); }});
}

}  // namespace rtl::bench
