#include "transfer/place.hpp"

#include <numeric>
#include <vector>

#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::transfer::detail {

PlacedDataset::PlacedDataset(const data::Dataset& dataset, const Device& device) : dataset_(&dataset) {
  if (can_read(device, dataset.inputs.device())) return;
  copy_.inputs = dataset.inputs.to(device);
  copy_.labels = dataset.labels.to(device);
  copy_.classes = dataset.classes;
  copy_.class_names = dataset.class_names;
  copy_.name = dataset.name;
  dataset_ = &copy_;
}

HostBytes::HostBytes(const Tensor& tensor) : tensor_(&tensor) {
  if (!tensor.device().is_cuda()) return;
  copy_ = tensor.to(Device::cpu(1));
  tensor_ = &copy_;
}

std::span<const std::byte> HostBytes::bytes() const {
  return {static_cast<const std::byte*>(tensor_->view().data()), tensor_->bytes()};
}

InputGather::InputGather(const data::Dataset& dataset, data::Normalization normalization, const Device& device)
    : dataset_(dataset), device_(device) {
  if (dataset.has_images()) scaling_ = data::channel_scaling(normalization, dataset.inputs.extent(3), device);
}

Tensor InputGather::operator()(ConstView rows, DType dtype) const {
  Tensor out(dataset_.inputs.shape().with(0, rows.count()), dtype, device_);
  if (!dataset_.has_images()) {
    kernels::gather_rows(device_, dataset_.inputs, rows, out);
    return out;
  }
  if (dtype == scaling_.scale.dtype()) {
    kernels::gather_images(device_, dataset_.inputs, rows, scaling_.scale, scaling_.shift, out);
    return out;
  }
  Tensor scale(scaling_.scale.shape(), dtype, device_);
  Tensor shift(scaling_.shift.shape(), dtype, device_);
  kernels::cast(device_, scaling_.scale, scale);
  kernels::cast(device_, scaling_.shift, shift);
  kernels::gather_images(device_, dataset_.inputs, rows, scale, shift, out);
  return out;
}

Tensor counting_rows(std::int64_t count, const Device& device) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return Tensor::from(rows, {count}, device);
}

}  // namespace rtl::transfer::detail
