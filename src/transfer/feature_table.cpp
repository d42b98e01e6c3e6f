#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/upload.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/transfer/feature_cache.hpp"
#include "transfer/place.hpp"

namespace rtl::transfer {
namespace {

constexpr std::int64_t levels = 255;

[[noreturn]] void refuse(const std::string& fault) { throw ValueError("FeatureTable: " + fault); }

/// Scale and shift of each column, f32.
std::size_t factor_bytes(std::int64_t columns, DType storage) {
  return storage == DType::u8 ? 2 * sizeof(float) * static_cast<std::size_t>(columns) : 0;
}

/// Step and least value of each column, then the steps' numbers, row-major.
Tensor quantized(const ConstView& values, const Device& host) {
  const std::int64_t rows = values.extent(0), columns = values.extent(1);
  const auto width = static_cast<std::size_t>(columns);
  Tensor bytes({static_cast<std::int64_t>(FeatureTable::byte_count(rows, columns, DType::u8))}, DType::u8, host);
  auto* const factors = static_cast<float*>(bytes.view().data());
  const std::span step(factors, width), least(factors + columns, width);
  std::fill(step.begin(), step.end(), 0.0F);
  std::fill(least.begin(), least.end(), 0.0F);
  if (rows == 0) return bytes;
  const auto* const first = values.data_as<float>();
  const auto row_of = [&](std::int64_t row) { return std::span(first + row * columns, width); };
  std::vector<float> largest(width);
  std::ranges::copy(row_of(0), least.begin());
  std::ranges::copy(row_of(0), largest.begin());
  for (std::int64_t i = 1; i < rows; ++i) {
    const auto row = row_of(i);
    for (std::size_t c = 0; c < width; ++c) {
      least[c] = std::min(least[c], row[c]);
      largest[c] = std::max(largest[c], row[c]);
    }
  }
  std::vector<double> steps_in(width);  // steps in one unit of the column
  for (std::size_t c = 0; c < width; ++c) {
    if (!std::isfinite(largest[c] - least[c])) {
      refuse(fmt::format("feature {} spans more than f32 can tell; it cannot be stored as u8", c));
    }
    step[c] = static_cast<float>((static_cast<double>(largest[c]) - static_cast<double>(least[c])) / levels);
    steps_in[c] = step[c] > 0 ? 1 / static_cast<double>(step[c]) : 0;
  }
  auto* const numbers = bytes.data_as<std::uint8_t>() + factor_bytes(columns, DType::u8);
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto row = row_of(i);
    for (std::size_t c = 0; c < width; ++c) {
      const double number = (static_cast<double>(row[c]) - static_cast<double>(least[c])) * steps_in[c];
      numbers[i * columns + static_cast<std::int64_t>(c)] =
          static_cast<std::uint8_t>(std::clamp<double>(std::round(number), 0, levels));
    }
  }
  return bytes;
}

Tensor numbers_of(const std::vector<std::int64_t>* rows, std::int64_t count, const Device& device) {
  return rows ? Tensor::from(*rows, {count}, device) : detail::counting_rows(count, device);
}

}  // namespace

struct FeatureTable::Resident {
  std::mutex mutex;
  std::vector<std::pair<Device, std::shared_ptr<const Tensor>>> copies;
};

std::size_t FeatureTable::byte_count(std::int64_t rows, std::int64_t columns, DType storage) {
  if (storage != DType::f32 && storage != DType::bf16 && storage != DType::f16 && storage != DType::u8) {
    throw DTypeError(
        fmt::format("FeatureTable: features are stored as f32, bf16, f16 or u8, not {}", name_of(storage)));
  }
  return factor_bytes(columns, storage) +
         static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns) * size_of(storage);
}

FeatureTable::FeatureTable(Tensor stored, const Shape& shape, DType storage)
    : host_(Device::cpu(1).separate()),
      stored_(std::move(stored)),
      shape_(shape),
      storage_(storage),
      resident_(std::make_shared<Resident>()) {}

FeatureTable::FeatureTable(Tensor values) : FeatureTable(Tensor(), values.shape(), values.dtype()) {
  byte_count(0, 0, storage_);
  if (storage_ == DType::u8) throw DTypeError("FeatureTable: u8 features need their scales; use stored_as");
  stored_ = values.device().is_cuda() ? values.to(host_) : std::move(values);
}

FeatureTable FeatureTable::stored_as(Tensor values, DType storage) {
  byte_count(0, 0, storage);
  if (storage == DType::f32) return FeatureTable(std::move(values));
  const Device device = values.device();
  if (storage == DType::u8) {
    if (!kernels::all_finite(device, values)) refuse("features that are not finite cannot be stored as u8");
    const Device host = device.host();
    const Shape shape = values.shape();
    return {quantized(device.is_cuda() ? values.to(host) : std::move(values), host), shape, storage};
  }
  Tensor rounded(values.shape(), storage, device);
  kernels::cast(device, values, rounded);
  if (storage == DType::f16 && kernels::all_finite(device, values) && !kernels::all_finite(device, rounded)) {
    refuse("features beyond 65504 cannot be stored as f16; store them as bf16");
  }
  return FeatureTable(std::move(rounded));
}

FeatureTable::FeatureTable(io::MappedFile file, std::size_t offset, const Shape& shape, DType storage)
    : FeatureTable(Tensor(), shape, storage) {
  file_ = std::make_unique<io::MappedFile>(std::move(file));
  offset_ = offset;
}

std::span<const std::byte> FeatureTable::bytes() const {
  const void* data = file_ ? file_->bytes().data() + offset_ : stored_.view().data();
  return {static_cast<const std::byte*>(data), byte_count(rows(), columns(), storage_)};
}

ConstView FeatureTable::view() const {
  return ConstView(bytes().data() + factor_bytes(columns(), storage_), storage_, shape_, host_);
}

bool FeatureTable::is_finite() const { return storage_ == DType::u8 || kernels::all_finite(host_, view()); }

/// Null where the device has no room.
std::shared_ptr<const Tensor> FeatureTable::resident_on(const Device& device) const {
  const std::lock_guard lock(resident_->mutex);
  for (const auto& [at, copy] : resident_->copies) {
    if (at == device) return copy;
  }
  std::shared_ptr<const Tensor> copy;
  try {
    const auto all = bytes();
    const Shape shape{static_cast<std::int64_t>(all.size())};
    Tensor there(shape, DType::u8, device);
    rtl::detail::upload(
        device, there.view().data(), all.size(), 1,
        [&](std::byte* to, std::size_t begin, std::size_t count) { std::memcpy(to, all.data() + begin, count); });
    copy = std::make_shared<const Tensor>(std::move(there));
  } catch (const OutOfMemory&) {
    copy = nullptr;  // rows are gathered on the host then
  }
  resident_->copies.emplace_back(device, copy);
  return copy;
}

void FeatureTable::gather_into(const void* stored, ConstView rows, View out) const {
  const auto* const data = static_cast<const std::byte*>(stored);
  const Device device = Device::of(*out.context());
  const ConstView table(data + factor_bytes(columns(), storage_), storage_, shape_, device);
  if (storage_ != DType::u8) return kernels::gather_rows(device, table, rows, out);
  const ConstView scale(data, DType::f32, {columns()}, device);
  const ConstView shift(data + sizeof(float) * static_cast<std::size_t>(columns()), DType::f32, {columns()}, device);
  const Shape pixels{this->rows(), 1, 1, columns()};
  kernels::gather_images(device, table.reshaped(pixels), rows, scale, shift,
                         out.reshaped(pixels.with(0, out.extent(0))));
}

Tensor FeatureTable::gather(const std::vector<std::int64_t>* rows, const Device& device) const {
  const std::int64_t count = rows ? static_cast<std::int64_t>(rows->size()) : this->rows();
  if (rows) {
    for (const std::int64_t row : *rows) {
      if (row >= 0 && row < this->rows()) continue;
      throw ValueError(fmt::format("FeatureTable::gather: row {} of {} rows", row, this->rows()));
    }
  }
  Tensor out({count, columns()}, DType::f32, device);
  const std::shared_ptr<const Tensor> resident = device.is_cuda() ? resident_on(device) : nullptr;
  if (resident) {
    const Tensor numbers = numbers_of(rows, count, device);
    gather_into(resident->view().data(), numbers, out);
    return out;
  }
  const Device worker = device.is_cuda() ? Device::cpu(1).separate() : device;
  const Tensor numbers = numbers_of(rows, count, worker);
  const std::size_t row_bytes = sizeof(float) * static_cast<std::size_t>(columns());
  rtl::detail::upload(device, out.view().data(), out.view().bytes(), row_bytes,
                      [&](std::byte* to, std::size_t begin, std::size_t bytes) {
                        const auto first = static_cast<std::int64_t>(begin / row_bytes);
                        const auto some = static_cast<std::int64_t>(bytes / row_bytes);
                        gather_into(this->bytes().data(), numbers.view().slice(0, first, first + some),
                                    View(to, DType::f32, {some, columns()}, worker));
                      });
  return out;
}

}  // namespace rtl::transfer
