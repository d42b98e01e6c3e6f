#include "kernels/cuda/vendor/cudnn_descriptor.hpp"

#include <fmt/format.h>

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

void Descriptor::set(cudnnBackendAttributeName_t name, std::span<const Descriptor> values) {
  std::vector<cudnnBackendDescriptor_t> objects;
  for (const Descriptor& value : values) objects.push_back(value.get());
  RTL_CUDNN_CHECK(cudnnBackendSetAttribute(get(), name, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                           static_cast<std::int64_t>(objects.size()), objects.data()));
}

bool Descriptor::finalize() {
  const cudnnStatus_t status = cudnnBackendFinalize(get());
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) return false;
  check_cudnn(status, "finalizing a cuDNN descriptor");
  return true;
}

std::vector<Descriptor> Descriptor::read_descriptors(cudnnBackendAttributeName_t name,
                                                     cudnnBackendDescriptorType_t type, std::size_t most) const {
  std::vector<Descriptor> found;
  std::vector<cudnnBackendDescriptor_t> objects;
  while (objects.size() < most) objects.push_back(found.emplace_back(type).get());
  std::int64_t count = 0;
  RTL_CUDNN_CHECK(cudnnBackendGetAttribute(get(), name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(most),
                                           &count, objects.data()));
  found.erase(found.begin() + std::min(count, static_cast<std::int64_t>(most)), found.end());
  return found;
}

}  // namespace rtl::kernels::cuda::vendor
