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

/// Where there is room for it.
std::shared_ptr<std::byte> room_for(const Device& device, std::size_t bytes) {
  try {
    auto there = std::make_shared<Tensor>(Shape{static_cast<std::int64_t>(bytes)}, DType::u8, device);
    return {there, static_cast<std::byte*>(there->view().data())};
  } catch (const OutOfMemory&) {
    return nullptr;
  }
}

}  // namespace

struct FeatureTable::Resident {
  std::mutex mutex;
  std::vector<std::pair<Device, std::shared_ptr<std::byte>>> copies;
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

const std::byte* FeatureTable::bytes_on(const Device& device) const {
  const auto all = bytes();
  if (!device.is_cuda()) return all.data();
  const std::lock_guard lock(resident_->mutex);
  for (const auto& [at, copy] : resident_->copies) {
    if (at == device) return copy.get();
  }
  std::shared_ptr<std::byte> copy = room_for(device, all.size());
  if (copy) {
    rtl::detail::upload(device, copy.get(), all.size(), 1, [&](std::byte* to, std::size_t begin, std::size_t count) {
      std::memcpy(to, all.data() + begin, count);
    });
  } else {
    copy = rtl::detail::page_locked(device, all.size());
    std::memcpy(copy.get(), all.data(), all.size());
  }
  resident_->copies.emplace_back(device, copy);
  return copy.get();
}

ConstView FeatureTable::view_on(const Device& device) const {
  return ConstView(bytes_on(device) + factor_bytes(columns(), storage_), storage_, shape_, device);
}

Tensor FeatureTable::plain_transform(const Tensor& shift, const Tensor& factor, const Device& device) {
  if (!shift.defined()) return {};
  std::vector<float> all = shift.to_vector<float>();
  const std::vector<float> factors = factor.to_vector<float>();
  all.insert(all.end(), factors.begin(), factors.end());
  all.resize(3 * factors.size(), 0.0F);
  return Tensor::from(all, {3, factor.count()}, device);
}

/// Of (number * step + least - shift) * factor.
Tensor FeatureTable::transform(const Tensor& shift, const Tensor& factor, const Device& device) const {
  if (storage_ != DType::u8) return plain_transform(shift, factor, device);
  const auto width = static_cast<std::size_t>(columns());
  const auto* const stored = reinterpret_cast<const float*>(bytes().data());
  const std::span steps(stored, width), least(stored + width, width);
  const std::vector<float> shifts = shift.defined() ? shift.to_vector<float>() : std::vector<float>(width, 0.0F);
  const std::vector<float> factors = factor.defined() ? factor.to_vector<float>() : std::vector<float>(width, 1.0F);
  std::vector<float> all(3 * width, 0.0F);
  for (std::size_t c = 0; c < width; ++c) {
    const double step = steps[c], times = factors[c], rest = static_cast<double>(least[c]) - shifts[c];
    all[width + c] = static_cast<float>(step * times);
    all[2 * width + c] = static_cast<float>(rest * times);
  }
  return Tensor::from(all, {3, columns()}, device);
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
  if (out.count() == 0) return out;
  const Tensor numbers = rows ? Tensor::from(*rows, {count}, device) : detail::counting_rows(count, device);
  const Tensor change = transform({}, {}, device);
  kernels::gather_features(device, {view_on(device), {}, change.defined() ? ConstView(change) : ConstView()}, numbers,
                           out);
  return out;
}

}  // namespace rtl::transfer
