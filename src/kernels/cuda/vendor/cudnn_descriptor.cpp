#include "kernels/cuda/vendor/cudnn_descriptor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "rtl/core/error.hpp"

namespace rtl::kernels::cuda::vendor {

void check_cudnn(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 512> reason{};
  cudnnGetLastErrorString(reason.data(), reason.size());
  throw CudaError(fmt::format("{} failed with {}{}{}", call, cudnnGetErrorString(status), reason[0] == '\0' ? "" : ": ",
                              reason.data()));
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t made = nullptr;
  RTL_CUDNN_CHECK(cudnnBackendCreateDescriptor(type, &made));
  object_.reset(made);
}

void Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::size_t count,
                     const void* values) {
  const cudnnStatus_t status = cudnnBackendSetAttribute(get(), name, type, static_cast<std::int64_t>(count), values);
  if (status != CUDNN_STATUS_SUCCESS) check_cudnn(status, fmt::format("setting cuDNN's attribute {}", +name).c_str());
}

std::size_t Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::size_t most,
                            void* values) const {
  std::int64_t count = 0;
  const cudnnStatus_t status =
      cudnnBackendGetAttribute(get(), name, type, static_cast<std::int64_t>(most), &count, values);
  if (status != CUDNN_STATUS_SUCCESS) check_cudnn(status, fmt::format("reading cuDNN's attribute {}", +name).c_str());
  return std::min(most, static_cast<std::size_t>(count));
}

void Descriptor::set(cudnnBackendAttributeName_t name, std::span<const Descriptor> values) {
  std::vector<cudnnBackendDescriptor_t> objects;
  for (const Descriptor& value : values) objects.push_back(value.get());
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, objects.size(), objects.data());
}

bool Descriptor::finalize() {
  const cudnnStatus_t status = cudnnBackendFinalize(get());
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) return false;
  // Some of its faults mean the same: another engine may do it.
  if (status == CUDNN_STATUS_INTERNAL_ERROR || status == CUDNN_STATUS_INTERNAL_ERROR_UNEXPECTED_VALUE) return false;
  check_cudnn(status, "finalizing a cuDNN descriptor");
  return true;
}

std::vector<Descriptor> Descriptor::read_descriptors(cudnnBackendAttributeName_t name,
                                                     cudnnBackendDescriptorType_t type, std::size_t most) const {
  std::vector<Descriptor> found;
  std::vector<cudnnBackendDescriptor_t> objects;
  while (objects.size() < most) objects.push_back(found.emplace_back(type).get());
  const std::size_t count = get(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, objects.data());
  found.erase(found.begin() + static_cast<std::ptrdiff_t>(count), found.end());
  return found;
}

}  // namespace rtl::kernels::cuda::vendor
