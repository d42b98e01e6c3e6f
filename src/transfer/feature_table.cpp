#include <fmt/format.h>

#include <utility>

#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/transfer/feature_cache.hpp"

namespace rtl::transfer {

FeatureTable::FeatureTable(Tensor values)
    : host_(Device::cpu(1).separate()),
      values_(values.device().is_cuda() ? values.to(host_) : std::move(values)),
      shape_(values_.shape()),
      dtype_(values_.dtype()) {}

FeatureTable::FeatureTable(io::MappedFile file, std::size_t offset, const Shape& shape, DType dtype)
    : host_(Device::cpu(1).separate()),
      file_(std::make_unique<io::MappedFile>(std::move(file))),
      offset_(offset),
      shape_(shape),
      dtype_(dtype) {}

ConstView FeatureTable::view() const {
  const void* data = file_ ? file_->bytes().data() + offset_ : values_.view().data();
  return ConstView(data, dtype_, shape_, host_);
}

Tensor FeatureTable::gather(const std::vector<std::int64_t>* rows, const Device& device) const {
  const Device worker = device.is_cuda() ? Device::cpu(1).separate() : device;
  const std::int64_t count = rows ? static_cast<std::int64_t>(rows->size()) : shape_[0];
  Tensor out({count, shape_[1]}, DType::f32, worker);
  if (rows) {
    for (const std::int64_t row : *rows) {
      if (row < 0 || row >= shape_[0]) {
        throw ValueError(fmt::format("FeatureTable::gather: row {} of {} rows", row, shape_[0]));
      }
    }
    kernels::gather_rows(worker, view(), Tensor::from(*rows, {count}, worker), out);
  } else {
    kernels::cast(worker, view(), out);
  }
  return device.is_cuda() ? out.to(device) : std::move(out);
}

}  // namespace rtl::transfer
