#include "rtl/core/tensor.hpp"

#include <fmt/format.h>

#include <cstring>
#include <utility>

namespace rtl {

template <typename Element>
bool BasicView<Element>::is_contiguous() const noexcept {
  if (count() == 0) return true;
  const Strides expected = contiguous_strides(shape_);
  for (int axis = 0; axis < rank(); ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    if (shape_.extents()[i] != 1 && strides_[i] != expected[i]) return false;
  }
  return true;
}

template <typename Element>
Device BasicView<Element>::device() const {
  if (context_ == nullptr) throw DeviceError("View::device: no view is given");
  return Device::of(*context_);
}

template <typename Element>
BasicView<Element> BasicView<Element>::reshaped(const Shape& shape) const {
  if (shape.count() != count() || !is_contiguous()) {
    throw ShapeError(fmt::format("View::reshaped: {} ({}) cannot become {}", shape_.to_string(),
                                 is_contiguous() ? "contiguous" : "strided", shape.to_string()));
  }
  return {data_, dtype_, shape, contiguous_strides(shape), context_};
}

template <typename Element>
BasicView<Element> BasicView<Element>::slice(int axis, std::int64_t begin, std::int64_t end) const {
  const std::int64_t extent = shape_[axis];
  if (begin < 0 || end < begin || end > extent) {
    throw ShapeError(fmt::format("View::slice: rows [{}, {}) of axis {} of {}", begin, end, axis, shape_.to_string()));
  }
  const auto i = static_cast<std::size_t>(axis < 0 ? axis + rank() : axis);
  const std::int64_t offset = begin * strides_[i] * static_cast<std::int64_t>(size_of(dtype_));
  using Byte = std::conditional_t<std::is_const_v<Element>, const std::byte, std::byte>;
  return {static_cast<Byte*>(data_) + offset, dtype_, shape_.with(axis, end - begin), strides_, context_};
}

template <typename Element>
BasicView<Element> BasicView<Element>::permuted(std::span<const int> order) const {
  bool seen[Shape::max_rank] = {};
  std::array<std::int64_t, Shape::max_rank> extents{};
  Strides strides{};
  std::size_t axis = 0;
  for (const int from : order) {
    if (static_cast<int>(order.size()) != rank() || from < 0 || from >= rank() || std::exchange(seen[from], true)) {
      throw ShapeError(
          fmt::format("View::permuted: the order is no permutation of the axes of {}", shape_.to_string()));
    }
    extents[axis] = shape_[from];
    strides[axis++] = strides_[static_cast<std::size_t>(from)];
  }
  if (axis != static_cast<std::size_t>(rank())) {
    throw ShapeError(fmt::format("View::permuted: {} axes given for {}", axis, shape_.to_string()));
  }
  return {data_, dtype_, Shape(std::span<const std::int64_t>(extents.data(), axis)), strides, context_};
}

template <typename Element>
BasicView<Element> BasicView<Element>::broadcast_to(const Shape& shape) const {
  const int added = shape.rank() - rank();
  Strides strides{};
  bool fits = added >= 0;
  for (int axis = 0; fits && axis < rank(); ++axis) {
    const std::int64_t extent = shape_[axis];
    fits = extent == shape[axis + added] || extent == 1;
    const auto from = static_cast<std::size_t>(axis), to = from + static_cast<std::size_t>(added);
    if (fits) strides[to] = extent == 1 ? 0 : strides_[from];
  }
  if (!fits) {
    throw ShapeError(
        fmt::format("View::broadcast_to: {} cannot be repeated to {}", shape_.to_string(), shape.to_string()));
  }
  return {data_, dtype_, shape, strides, context_};
}

template <typename Element>
void BasicView<Element>::check_dtype(DType wanted) const {
  if (wanted != dtype_) {
    throw DTypeError(fmt::format("View::data_as: the elements are {}, not {}", name_of(dtype_), name_of(wanted)));
  }
}

template class BasicView<void>;
template class BasicView<const void>;

Tensor::Tensor(const Shape& shape, DType dtype, const Device& device) : device_(device), shape_(shape), dtype_(dtype) {
  const std::size_t wanted = checked_bytes(shape, dtype);
  try {
    data_ = device.context().allocate(wanted);
  } catch (const OutOfMemory& fault) {
    throw OutOfMemory(fmt::format("{} {}: {}", name_of(dtype), shape.to_string(), fault.what()));
  }
}

Tensor::Tensor(Tensor&& other) noexcept
    : device_(std::move(other.device_)),
      data_(std::exchange(other.data_, nullptr)),
      shape_(other.shape_),
      dtype_(other.dtype_) {
  other.device_.reset();
}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  if (this != &other) {
    if (data_ != nullptr) device_->context().deallocate(data_);
    device_ = std::move(other.device_);
    other.device_.reset();
    data_ = std::exchange(other.data_, nullptr);
    shape_ = other.shape_;
    dtype_ = other.dtype_;
  }
  return *this;
}

Tensor::~Tensor() {
  if (data_ != nullptr) device_->context().deallocate(data_);
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, const Device& device) {
  Tensor tensor(shape, dtype, device);
  device.context().set(tensor.data_, 0, tensor.bytes());
  return tensor;
}

const Device& Tensor::device() const {
  if (!device_) throw DeviceError("Tensor::device: the tensor holds nothing; assign to it first");
  return *device_;
}

View Tensor::view() { return device_ ? View(data_, dtype_, shape_, *device_) : View(); }
ConstView Tensor::view() const { return device_ ? ConstView(data_, dtype_, shape_, *device_) : ConstView(); }

Tensor Tensor::reshaped(const Shape& shape) && {
  if (shape.count() != count()) {
    throw ShapeError(fmt::format("Tensor::reshaped: {} cannot become {}", shape_.to_string(), shape.to_string()));
  }
  shape_ = shape;
  return std::move(*this);
}

Tensor Tensor::clone() const { return defined() ? to(device()) : Tensor(); }

Tensor Tensor::to(const Device& target) const {
  if (!defined()) return {};
  Tensor copy(shape_, dtype_, target);
  copy_bytes(view(), copy.view());
  return copy;
}

Tensor Tensor::from_bytes(const void* values, std::size_t count, const Shape& shape, DType dtype,
                          const Device& device) {
  if (count != static_cast<std::size_t>(shape.count())) {
    throw ShapeError(fmt::format("Tensor::from: {} values for shape {}", count, shape.to_string()));
  }
  Tensor tensor(shape, dtype, device);
  device.context().copy(tensor.data_, values, tensor.bytes(), detail::CopyKind::from_host);
  return tensor;
}

void Tensor::copy_to_host(void* to) const { device().context().copy(to, data_, bytes(), detail::CopyKind::to_host); }

void Tensor::check_single() const {
  if (count() != 1)
    throw ShapeError(fmt::format("Tensor::item: {} has {} elements, not one", shape_.to_string(), count()));
}

void copy_bytes(ConstView from, View to) {
  if (!from.given() || !to.given()) throw DeviceError("copy_bytes: a view is missing");
  if (from.shape() != to.shape() || from.dtype() != to.dtype() || !from.is_contiguous() || !to.is_contiguous()) {
    throw ShapeError(fmt::format("copy_bytes: {} {} to {} {}; both must be contiguous, of one shape and dtype",
                                 from.shape().to_string(), name_of(from.dtype()), to.shape().to_string(),
                                 name_of(to.dtype())));
  }
  detail::Context& source = *from.context();
  detail::Context& target = *to.context();
  const bool source_on_host = source.kind() == DeviceKind::cpu;
  const bool target_on_host = target.kind() == DeviceKind::cpu;
  if (source_on_host) {
    target.copy(to.data(), from.data(), from.bytes(),
                target_on_host ? detail::CopyKind::within : detail::CopyKind::from_host);
  } else if (target_on_host) {
    source.copy(to.data(), from.data(), from.bytes(), detail::CopyKind::to_host);
  } else if (&source == &target) {
    target.copy(to.data(), from.data(), from.bytes(), detail::CopyKind::within);
  } else {
    // Two CUDA contexts share no stream: finish the source's work, then copy on the target's stream.
    source.synchronize();
    target.copy(to.data(), from.data(), from.bytes(), detail::CopyKind::within);
    target.synchronize();
  }
}

}  // namespace rtl
