// Descriptors of cuDNN's backend interface: tensors, operations, graphs of these, engines and execution plans are all
// opaque objects with attributes, which are set, checked together by finalizing, and then only read.
#pragma once

#include <cudnn_graph.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace rtl::kernels::cuda::vendor {

/// Throws CudaError with the call's text and what the library says of the failure.
void check_cudnn(cudnnStatus_t status, const char* call);

#define RTL_CUDNN_CHECK(call) ::rtl::kernels::cuda::vendor::check_cudnn((call), #call)

/// How the library calls the type of an attribute. Addresses are void*; so are its descriptors, which have a type of
/// their own.
template <typename T>
inline constexpr cudnnBackendAttributeType_t attribute_type = T::is_no_attribute;
template <>
inline constexpr auto attribute_type<void*> = CUDNN_TYPE_VOID_PTR;
template <>
inline constexpr auto attribute_type<cudnnHandle_t> = CUDNN_TYPE_HANDLE;
template <>
inline constexpr auto attribute_type<bool> = CUDNN_TYPE_BOOLEAN;
template <>
inline constexpr auto attribute_type<std::int64_t> = CUDNN_TYPE_INT64;
template <>
inline constexpr auto attribute_type<float> = CUDNN_TYPE_FLOAT;
template <>
inline constexpr auto attribute_type<char> = CUDNN_TYPE_CHAR;
template <>
inline constexpr auto attribute_type<cudnnDataType_t> = CUDNN_TYPE_DATA_TYPE;
template <>
inline constexpr auto attribute_type<cudnnConvolutionMode_t> = CUDNN_TYPE_CONVOLUTION_MODE;
template <>
inline constexpr auto attribute_type<cudnnPointwiseMode_t> = CUDNN_TYPE_POINTWISE_MODE;
template <>
inline constexpr auto attribute_type<cudnnNanPropagation_t> = CUDNN_TYPE_NAN_PROPOGATION;
template <>
inline constexpr auto attribute_type<cudnnBackendHeurMode_t> = CUDNN_TYPE_HEUR_MODE;
template <>
inline constexpr auto attribute_type<cudnnBackendNumericalNote_t> = CUDNN_TYPE_NUMERICAL_NOTE;
template <>
inline constexpr auto attribute_type<cudnnBackendKnobType_t> = CUDNN_TYPE_KNOB_TYPE;
template <>
inline constexpr auto attribute_type<cudnnBackendBehaviorNote_t> = CUDNN_TYPE_BEHAVIOR_NOTE;

/// A descriptor that owns itself. Reading and setting throw CudaError.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);

  cudnnBackendDescriptor_t get() const { return object_.get(); }

  template <typename T>
  void set(cudnnBackendAttributeName_t name, std::span<const T> values) {
    set(name, attribute_type<T>, values.size(), values.data());
  }
  template <typename T>
  void set(cudnnBackendAttributeName_t name, const T& value) {
    set(name, std::span<const T>(&value, 1));
  }
  // The others must live as long as this one.
  void set(cudnnBackendAttributeName_t name, const Descriptor& value) { set(name, std::span(&value, 1)); }
  void set(cudnnBackendAttributeName_t name, std::span<const Descriptor> values);

  /// Whether the library takes what was set; false where it does not support it. Throws where it was set wrongly.
  bool finalize();

  template <typename T>
  T read(cudnnBackendAttributeName_t name) const {
    T value{};
    get(name, attribute_type<T>, 1, &value);
    return value;
  }
  /// At most `most` elements.
  template <typename T>
  std::vector<T> read_list(cudnnBackendAttributeName_t name, std::size_t most) const {
    std::vector<T> values(most);
    values.resize(get(name, attribute_type<T>, most, values.data()));
    return values;
  }
  /// Descriptors of a type, at most `most`. Not every attribute tells how many there are before it is asked for them.
  std::vector<Descriptor> read_descriptors(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type,
                                           std::size_t most) const;

 private:
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::size_t count, const void* values);
  /// How many there are, or `most`.
  std::size_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::size_t most,
                  void* values) const;

  struct Destroy {
    void operator()(void* object) const { cudnnBackendDestroyDescriptor(object); }
  };
  std::unique_ptr<void, Destroy> object_;
};

}  // namespace rtl::kernels::cuda::vendor
