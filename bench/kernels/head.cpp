// What a head on cached features needs: row gathers, fused blocks of features, softmax and loss.
#include <fmt/format.h>

#include <array>

#include "kernels.hpp"
#include "rtl/kernels/fetch.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/linear.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/residual_fusion.hpp"
#include "rtl/kernels/softmax.hpp"
#include "rtl/kernels/sparse.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::bench {
namespace {

/// The usual changes of small images, beside gather_images of the same sizes.
void add_augmented(const Device& device, KernelCases& cases, const Shared& pictures, const Shared& chosen) {
  const Shared scale = shared_values({3}, device);
  const Shared counters = shared_zeros({kernels::Counters::count}, DType::i64, device);
  const std::pair<const char*, kernels::ImageAugmentation> changes[] = {
      {"flip crop=4", {.crop = 4, .flip = true}},
      {"flip crop=4 cutout=8", {.crop = 4, .flip = true, .cutout = 8}},
      {"flip resized_crop=0.5", {.resized_crop = 0.5, .flip = true}}};
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Shared batch = shared_zeros({512, 32, 32, 3}, dtype, device);
    for (const auto& [name, augmentation] : changes) {
      cases.push_back({"gather_augmented_images",
                       std::string("512 of 5000x32x32x3 ") + name + (dtype == DType::bf16 ? " bf16" : ""),
                       2 * static_cast<double>(batch->count()),
                       static_cast<double>(batch->bytes()) + static_cast<double>(batch->count()),
                       [=, augmentation = augmentation] {
                         kernels::gather_augmented_images(device, *pictures, *chosen, *scale, *scale, augmentation, 1,
                                                          *counters, *batch);
                       }});
    }
  }
}

/// As the order of an epoch is kept.
Tensor wide(const Tensor& rows) {
  Tensor order(rows.shape(), DType::i64, rows.device());
  kernels::cast(rows.device(), rows, order);
  return order;
}

void add_gathers(const Device& device, KernelCases& cases) {
  const Shared table = shared_values({50000, 64}, device);
  const auto picked = std::make_shared<Tensor>(random_integers(4096, 50000, device, 3));
  const Shared out = shared_zeros({4096, 64}, DType::f32, device);
  const auto moved = 2 * static_cast<double>(out->bytes());
  cases.push_back(
      {"gather_rows", "4096 of 50000x64", 0, moved, [=] { kernels::gather_rows(device, *table, *picked, *out); }});
  const Shared narrow_table = shared_values(table->shape(), DType::bf16, device);
  const Shared narrow = shared_zeros(out->shape(), DType::bf16, device);
  cases.push_back({"gather_rows", "4096 of 50000x64 bf16", 0, moved / 2,
                   [=] { kernels::gather_rows(device, *narrow_table, *picked, *narrow); }});
  cases.push_back({"gather_rows", "4096 of 50000x64 f32 to bf16", 0, 0.75 * moved,
                   [=] { kernels::gather_rows(device, *table, *picked, *narrow); }});
  const Shared half_table = shared_zeros(table->shape(), DType::f16, device);
  cases.push_back({"gather_rows", "4096 of 50000x64 f16 to f32", 0, 0.75 * moved,
                   [=] { kernels::gather_rows(device, *half_table, *picked, *out); }});
  const Shared numbers = shared_zeros({50000, 64}, DType::u8, device), scaling = shared_values({3, 64}, device);
  const auto order = std::make_shared<Tensor>(wide(*picked));
  cases.push_back(
      {"gather_features", "4096 of 50000x64 u8 to f32", 3 * static_cast<double>(out->count()), 0.625 * moved, [=] {
         kernels::gather_features(device, {*numbers, {}, *scaling}, *order, *out);
       }});
  const Shared counters = shared_zeros({kernels::Counters::count}, DType::i64, device);
  cases.push_back(
      {"fetch_features", "4096 of 50000x64 u8 to f32", 3 * static_cast<double>(out->count()), 0.625 * moved, [=] {
         kernels::fetch_features(device, {*numbers, {}, *scaling}, *order, *out, *counters, 0);
       }});
  cases.push_back({"scatter_add_rows", "4096 into 50000x64", static_cast<double>(out->count()), 1.5 * moved,
                   [=] { kernels::scatter_add_rows(device, *out, *picked, *table); }});
  const Shared pictures = shared_zeros({5000, 32, 32, 3}, DType::u8, device);
  const auto chosen = std::make_shared<Tensor>(random_integers(512, 5000, device, 4));
  const Shared scale = shared_values({3}, device);
  const Shared batch = shared_zeros({512, 32, 32, 3}, DType::f32, device);
  cases.push_back({"gather_images", "512 of 5000x32x32x3", 2 * static_cast<double>(batch->count()),
                   1.25 * static_cast<double>(batch->bytes()),
                   [=] { kernels::gather_images(device, *pictures, *chosen, *scale, *scale, *batch); }});
  const Shared narrow_batch = shared_zeros(batch->shape(), DType::bf16, device);
  cases.push_back({"gather_images", "512 of 5000x32x32x3 bf16", 2 * static_cast<double>(batch->count()),
                   0.75 * static_cast<double>(batch->bytes()),
                   [=] { kernels::gather_images(device, *pictures, *chosen, *scale, *scale, *narrow_batch); }});
  add_augmented(device, cases, pictures, chosen);
}

/// Batches of an epoch over a table far larger than the caches, and copies of as many rows that lie side by side: the
/// batch stays in the cache, the table does not.
void add_epochs(const Device& device, KernelCases& cases) {
  constexpr std::int64_t all = 131072, some = 2048, width = 512;
  const auto picked = std::make_shared<Tensor>(random_integers(all, all, device, 6));
  const auto batch = std::make_shared<std::int64_t>(0);
  const auto next = [=](ConstView rows) {
    *batch = (*batch + 1) % (all / some);
    return rows.slice(0, *batch * some, (*batch + 1) * some);
  };
  const Shared table = shared_values({all, width}, device), out = shared_zeros({some, width}, DType::f32, device);
  const Shared narrow = shared_zeros(out->shape(), DType::bf16, device);
  const auto bytes = static_cast<double>(out->bytes());
  cases.push_back({"gather_rows", "epoch of 131072x512, rows in order", 0, 2 * bytes,
                   [=] { copy_bytes(next(table->view()), out->view()); }});
  for (const Shared& to : {out, narrow}) {
    for (const DType storage : {DType::f32, DType::bf16, DType::f16}) {
      if (to == narrow && storage == DType::f16) continue;
      const Shared stored = storage == DType::f32 ? table : shared_zeros(table->shape(), storage, device);
      cases.push_back({"gather_rows",
                       fmt::format("epoch of 131072x512 {} to {}", name_of(storage), name_of(to->dtype())), 0,
                       bytes / 4 * static_cast<double>(size_of(storage) + size_of(to->dtype())),
                       [=] { kernels::gather_rows(device, *stored, next(picked->view()), *to); }});
    }
  }
  const Shared scaling = shared_values({3, width}, device);
  const auto order = std::make_shared<Tensor>(wide(*picked));
  for (const Shared& to : {out, narrow}) {
    for (const DType storage : {DType::f32, DType::bf16, DType::f16, DType::u8}) {
      const Shared stored = storage == DType::f32 ? table : shared_zeros(table->shape(), storage, device);
      cases.push_back({"gather_features",
                       fmt::format("epoch of 131072x512 {} to {}", name_of(storage), name_of(to->dtype())),
                       3 * static_cast<double>(out->count()),
                       bytes / 4 * static_cast<double>(size_of(storage) + size_of(to->dtype())), [=] {
                         kernels::gather_features(device, {*stored, {}, *scaling}, next(order->view()), *to);
                       }});
    }
  }
}

/// Sums over ten neighbours of each of 5000 nodes.
void add_sparse(const Device& device, KernelCases& cases) {
  constexpr std::int64_t nodes = 5000, each = 10;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Shared x = shared_values({nodes, 64}, dtype, device), y = shared_zeros({nodes, 64}, dtype, device);
    std::vector<std::int32_t> begins;
    for (std::int64_t i = 0; i <= nodes; ++i) begins.push_back(static_cast<std::int32_t>(each * i));
    const auto offsets = std::make_shared<Tensor>(Tensor::from(begins, {nodes + 1}, device));
    const auto columns = std::make_shared<Tensor>(random_integers(nodes * each, nodes, device, 5));
    const Shared values = shared_values({nodes * each}, device);
    cases.push_back({"sparse_product", dtype == DType::f32 ? "10 of 5000x64" : "10 of 5000x64 bf16",
                     2.0 * nodes * each * 64, 2 * static_cast<double>(x->bytes()) + 8.0 * nodes * each, [=] {
                       kernels::sparse_product(device, {*offsets, *columns, *values}, *x, *y);
                     }});
  }
}

/// A batch of texts: a hundred words each of a hundred thousand.
void add_sparse_gathers(const Device& device, KernelCases& cases) {
  constexpr std::int64_t texts = 20000, words = 100, columns = 100000, batch = 256;
  std::vector<std::int64_t> begins;
  std::vector<std::int32_t> places;
  for (std::int64_t i = 0; i < texts; ++i) {
    begins.push_back(words * i);
    for (std::int64_t k = 0; k < words; ++k) {
      places.push_back(static_cast<std::int32_t>(k * (columns / words) + (i * 7919 + k * 104729) % (columns / words)));
    }
  }
  begins.push_back(words * texts);
  const auto offsets = std::make_shared<Tensor>(Tensor::from(begins, {texts + 1}, device));
  const auto entries = std::make_shared<Tensor>(Tensor::from(places, {texts * words}, device));
  const Shared values = shared_values({texts * words}, device), background = shared_values({columns}, device);
  const auto picked = std::make_shared<Tensor>(random_integers(batch, texts, device, 6));
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Shared out = shared_zeros({batch, columns}, dtype, device);
    const auto moved = static_cast<double>(out->bytes()) + 8.0 * batch * words;
    const char* const size =
        dtype == DType::f32 ? "256 of 20000x100000, 100 entries" : "256 of 20000x100000, 100 entries, bf16";
    cases.push_back({"gather_sparse_rows", size, 0, moved, [=] {
                       kernels::gather_sparse_rows(device, {*offsets, *entries, *values}, {}, *picked, *out);
                     }});
    if (dtype == DType::bf16) continue;
    cases.push_back({"gather_sparse_rows", "256 of 20000x100000, standardised", 0, moved, [=] {
                       kernels::gather_sparse_rows(device, {*offsets, *entries, *values}, *background, *picked, *out);
                     }});
  }
}

void add_fusion(const Device& device, KernelCases& cases) {
  constexpr std::int64_t n = 512, inner = 512, source = 64, classes = 100;
  const Shared h = shared_values({n, inner}, device);
  const Shared f = shared_values({n, source}, device);
  const Shared w = shared_values({classes, inner + source}, device);
  const Shared bias = shared_values({classes}, device);
  const Shared logits = shared_values({n, classes}, device);
  const Shared dw = shared_zeros(w->shape(), DType::f32, device);
  const Shared dh = shared_zeros(h->shape(), DType::f32, device);
  const double flop = 2.0 * n * classes * (inner + source);
  const auto bytes = static_cast<double>(h->bytes() + f->bytes() + w->bytes() + logits->bytes());
  const auto blocks = [=] { return std::array{kernels::FusionBlock{*h}, kernels::FusionBlock{*f}}; };
  cases.push_back({"residual_fusion_forward", "512x(512+64)->100", flop, bytes,
                   [=] { kernels::residual_fusion_forward(device, blocks(), *w, *bias, *logits); }});
  cases.push_back({"residual_fusion_backward", "512x(512+64)->100", flop + 2.0 * n * classes * inner, 2 * bytes, [=] {
                     const std::array<View, 2> gradients{*dh, View()};
                     kernels::residual_fusion_backward(device, blocks(), *w, *logits, *dw, *bias, gradients);
                   }});
}

/// The layers of a 64-128-10 head, batch 512.
void add_linear_gradients(const Device& device, KernelCases& cases) {
  constexpr std::int64_t rows = 512;
  for (const auto& [inputs, outputs] : {std::pair<std::int64_t, std::int64_t>{64, 128}, {128, 10}}) {
    const Shared x = shared_values({rows, inputs}, device), w = shared_values({outputs, inputs}, device);
    const Shared dy = shared_values({rows, outputs}, device), dx = shared_zeros(x->shape(), DType::f32, device);
    const Shared dw = shared_zeros(w->shape(), DType::f32, device), db = shared_zeros({outputs}, DType::f32, device);
    const double flops = 4 * static_cast<double>(rows * inputs * outputs);
    const auto bytes = 2 * static_cast<double>(x->bytes() + w->bytes()) + static_cast<double>(dy->bytes());
    const std::string size = fmt::format("{}x{} to {}", rows, inputs, outputs);
    cases.push_back({"linear_backward", size, flops, bytes, [=] {
                       kernels::linear_backward(device, *x, *w, *dy, {*dw, *db, *dx, true});
                     }});
    const auto labels = std::make_shared<Tensor>(random_integers(rows, outputs, device, 5));
    const Shared loss = shared_zeros({1}, DType::f32, device), dlogits = shared_zeros(dy->shape(), DType::f32, device);
    cases.push_back({"cross_entropy_with_linear_gradients", size, flops + 6 * static_cast<double>(dy->count()),
                     bytes + static_cast<double>(dy->bytes()), [=] {
                       kernels::cross_entropy_with_linear_gradients(device, *dy, {*labels}, *x, *w, *dlogits, *loss,
                                                                    {*dw, *db, *dx, true});
                     }});
  }
}

}  // namespace

void add_head_kernels(const Device& device, KernelCases& cases) {
  add_gathers(device, cases);
  add_epochs(device, cases);
  add_sparse(device, cases);
  add_sparse_gathers(device, cases);
  add_fusion(device, cases);
  add_linear_gradients(device, cases);
  const Shared logits = shared_values({4096, 100}, device);
  const Shared probabilities = shared_zeros(logits->shape(), DType::f32, device);
  const Shared dlogits = shared_zeros(logits->shape(), DType::f32, device);
  const Shared loss = shared_zeros({1}, DType::f32, device);
  const auto labels = std::make_shared<Tensor>(random_integers(4096, 100, device, 5));
  const auto count = static_cast<double>(logits->count());
  const auto bytes = 2 * static_cast<double>(logits->bytes());
  cases.push_back(
      {"softmax", "4096x100", 5 * count, bytes, [=] { kernels::softmax(device, *logits, *probabilities); }});
  cases.push_back({"cross_entropy_forward", "4096x100", 5 * count, bytes,
                   [=] { kernels::cross_entropy_forward(device, *logits, {*labels}, *probabilities, *loss); }});
  cases.push_back({"cross_entropy_backward", "4096x100", count, bytes,
                   [=] { kernels::cross_entropy_backward(device, *probabilities, {*labels}, *loss, *dlogits); }});
  cases.push_back({"cross_entropy_with_gradient", "4096x100", 6 * count, bytes,
                   [=] { kernels::cross_entropy_with_gradient(device, *logits, {*labels}, *dlogits, *loss); }});
}

}  // namespace rtl::bench
