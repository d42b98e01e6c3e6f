#include "rtl/kernels/gather.hpp"

#include <algorithm>

#include "kernels/backend/fetch.hpp"
#include "kernels/backend/gather.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {
namespace {

/// That the tables have rows, of which some are asked for by number.
void check_table(const char* call, const Device& device, const check::Named& table, const check::Named& values) {
  check::on_device(call, device, {table, values});
  check::contiguous(call, {table, values});
  if (table.view.rank() < 1) throw ShapeError(fmt::format("{}: '{}' is a scalar and has no rows", call, table.name));
}

void check_not_empty(const char* call, const check::Named& table, bool asked) {
  check::value(table.view.extent(0) > 0 || !asked, call, [&] {
    return fmt::format("rows are asked of '{}' {}, which has none", table.name, table.view.shape().to_string());
  });
}

/// A table of [n, ...] and what is gathered from it, [m, ...] or [R, m, ...].
void check_gather(const char* call, const Device& device, ConstView table, ConstView rows, ConstView counters,
                  View out) {
  check_table(call, device, {"table", table}, {"out", out});
  const bool stacked = out.rank() == table.rank() + 1;
  const std::int64_t count = stacked || out.rank() == table.rank() ? out.extent(stacked ? 1 : 0) : 0;
  const std::int64_t replicas = stacked ? out.extent(0) : 0;
  const Shape wanted = table.shape().with(0, rows.given() && !counters.given() ? rows.extent(-1) : count);
  check::shape(call, {"out", out}, stacked ? check::replicated(replicas, wanted) : wanted);
  check::row_numbers(call, device, rows, counters, replicas, count);
  check_not_empty(call, {"table", table}, count > 0);
}

void check_images(const char* call, const Device& device, ConstView table, ConstView rows, ConstView scale,
                  ConstView shift, View out, ConstView counters) {
  check_gather(call, device, table, rows, counters, out);
  check::dtype(call, {"table", table}, DType::u8);
  check::rank(call, {"table", table}, 4);
  check::dense_layer_operands(call, device, {{"out", out}}, {{"scale", scale}, {"shift", shift}});
  check::shapes(call, {{"scale", scale}, {"shift", shift}}, {table.extent(3)});
}

void check_features(const char* call, const Device& device, const StoredFeatures& features, ConstView rows,
                    ConstView counters, View out) {
  const ConstView &table = features.table, &places = features.places, &transform = features.transform;
  check_gather(call, device, table, rows, counters, out);
  check::rank(call, {"table", table}, 2);
  check::dtype(call, {"rows", rows}, DType::i64);
  check::activations_and_parameters(call, {{"out", out}}, {});
  const DType stored = table.dtype();
  if (stored != DType::f32 && stored != DType::bf16 && stored != DType::f16 && stored != DType::u8) {
    throw DTypeError(fmt::format("{}: 'table' is {}, but f32, bf16, f16 or u8 is needed", call, name_of(stored)));
  }
  if (places.given()) {
    check::on_device(call, device, {{"places", places}});
    check::contiguous(call, {{"places", places}});
    check::dtype(call, {"places", places}, DType::i64);
    check::rank(call, {"places", places}, 1);
  }
  if (transform.given()) {
    check::on_device(call, device, {{"transform", transform}});
    check::contiguous(call, {{"transform", transform}});
    check::dtype(call, {"transform", transform}, DType::f32);
    check::shape(call, {"transform", transform}, {3, table.extent(1)});
  }
  check::value(features.bound > 0, call,
               [&] { return fmt::format("the bound is {}, but must be positive", features.bound); });
}

}  // namespace

std::string ImageAugmentation::fault(std::int64_t height, std::int64_t width) const {
  const auto share = [](double value) { return value >= 0 && value <= 1; };
  const std::int64_t side = std::min(height, width);
  if (!share(resized_crop)) return fmt::format("resized_crop is {}, but must be in [0, 1]", resized_crop);
  if (!share(brightness)) return fmt::format("brightness is {}, but must be in [0, 1]", brightness);
  if (crop < 0 || (crop > 0 && crop >= side)) {
    return fmt::format("crop is {}, but must be below {} for images of {} x {}", crop, side, height, width);
  }
  if (cutout < 0 || cutout > side) {
    return fmt::format("cutout is {}, but must be at most {} for images of {} x {}", cutout, side, height, width);
  }
  if (crop > 0 && resized_crop > 0) return "crop and resized_crop exclude each other";
  return {};
}

void gather_rows(const Device& device, ConstView table, ConstView rows, View out, ConstView counters) {
  check_gather("gather_rows", device, table, rows, counters, out);
  if (out.dtype() != table.dtype()) check::activations_and_parameters("gather_rows", {{"out", out}}, {});
  if (out.count() == 0) return;
  RTL_DISPATCH(device, gather_rows(device, table, rows, out, counters));
}

void gather_features(const Device& device, const StoredFeatures& features, ConstView rows, View out,
                     ConstView counters) {
  check_features("gather_features", device, features, rows, counters, out);
  if (out.count() == 0) return;
  if (!features.places.given() && !features.transform.given()) {
    RTL_DISPATCH(device, gather_rows(device, features.table, rows, out, counters));
  } else {
    RTL_DISPATCH(device, gather_features(device, features, rows, out, counters));
  }
}

void fetch_features(const Device& device, const StoredFeatures& features, ConstView rows, View out, ConstView counters,
                    std::int64_t after) {
  constexpr auto call = "fetch_features";
  check_features(call, device, features, rows, counters, out);
  check::value(counters.given(), call, "counters are needed");
  check::value(after >= 0 && after <= rows.extent(-1), call,
               [&] { return fmt::format("{} positions on in an order of {}", after, rows.extent(-1)); });
  if (out.count() == 0) return;
  RTL_DISPATCH(device, fetch_features(device, features, rows, out, counters, after));
}

void gather_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift, View out,
                   ConstView counters) {
  check_images("gather_images", device, table, rows, scale, shift, out, counters);
  if (out.count() == 0) return;
  RTL_DISPATCH(device, gather_images(device, table, rows, scale, shift, out, counters));
}

void gather_augmented_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift,
                             const ImageAugmentation& augmentation, std::uint64_t name, ConstView counters, View out) {
  constexpr auto call = "gather_augmented_images";
  check::on_device(call, device, {{"counters", counters}});
  check_images(call, device, table, rows, scale, shift, out, counters);
  const std::string fault = augmentation.fault(table.extent(1), table.extent(2));
  check::value(fault.empty(), call, fault);
  if (out.count() == 0) return;
  RTL_DISPATCH(device, gather_augmented_images(device, table, rows, scale, shift, augmentation, name, counters, out));
}

void scatter_add_rows(const Device& device, ConstView values, ConstView rows, View table) {
  constexpr auto call = "scatter_add_rows";
  check_table(call, device, {"table", table}, {"values", values});
  const std::int64_t count = rows.given() && rows.rank() > 0 ? rows.extent(0) : 0;
  check::row_numbers(call, device, rows, {}, 0, count);
  check::shape(call, {"values", values}, table.shape().with(0, count));
  check_not_empty(call, {"table", table}, count > 0);
  check::same_floating(call, {{"table", table}, {"values", values}});
  if (values.count() == 0) return;
  RTL_DISPATCH(device, scatter_add_rows(device, values, rows, table));
}

}  // namespace rtl::kernels
