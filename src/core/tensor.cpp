#include "rtl/core/tensor.hpp"

#include <fmt/format.h>

#include <algorithm>
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

Tensor::Tensor(FileMemory memory, std::size_t begin, const Shape& shape, DType dtype, const Device& host)
    : device_(host), shape_(shape), dtype_(dtype) {
  if (host.is_cuda()) throw DeviceError("Tensor: a file's memory lies on the host, not on a CUDA device");
  const std::size_t wanted = checked_bytes(shape, dtype);
  const bool fits = begin <= memory.size() && wanted <= memory.size() - begin;
  if (!fits || reinterpret_cast<std::uintptr_t>(memory.data() + begin) % size_of(dtype) != 0) {
    throw ShapeError(fmt::format("Tensor: {} {} from byte {} on of {} bytes of a file: {}", name_of(dtype),
                                 shape.to_string(), begin, memory.size(),
                                 fits ? "it is not aligned there" : "there are too few"));
  }
  data_ = memory.data() + begin;
  file_ = std::make_unique<FileMemory>(std::move(memory));
}

Tensor Tensor::out_of_core(const Shape& shape, DType dtype, const Device& device) {
  if (device.is_cuda() || checked_bytes(shape, dtype) <= in_memory_limit()) return Tensor(shape, dtype, device);
  return {FileMemory::scratch(checked_bytes(shape, dtype)), 0, shape, dtype, device};
}

Tensor::Tensor(Tensor&& other) noexcept
    : device_(std::move(other.device_)),
      data_(std::exchange(other.data_, nullptr)),
      file_(std::move(other.file_)),
      shape_(other.shape_),
      dtype_(other.dtype_) {
  other.device_.reset();
}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  if (this != &other) {
    release();
    device_ = std::move(other.device_);
    other.device_.reset();
    data_ = std::exchange(other.data_, nullptr);
    file_ = std::move(other.file_);
    shape_ = other.shape_;
    dtype_ = other.dtype_;
  }
  return *this;
}

Tensor::~Tensor() { release(); }

void Tensor::release() noexcept {
  if (data_ != nullptr && !file_) device_->context().deallocate(data_);
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

View Tensor::view() {
  if (file_) file_->make_writable();
  return device_ ? View(data_, dtype_, shape_, *device_) : View();
}
ConstView Tensor::view() const { return device_ ? ConstView(data_, dtype_, shape_, *device_) : ConstView(); }

Tensor Tensor::reshaped(const Shape& shape) && {
  if (shape.count() != count()) {
    throw ShapeError(fmt::format("Tensor::reshaped: {} cannot become {}", shape_.to_string(), shape.to_string()));
  }
  shape_ = shape;
  return std::move(*this);
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  return to(device());
}

Tensor Tensor::to(const Device& target) const {
  if (!defined()) return {};
  if (file_ && !target.is_cuda()) return copy_of_file(0, shape_, target);
  Tensor copy(shape_, dtype_, target);
  copy_bytes(view(), copy.view());
  return copy;
}

/// `shape` of the data from byte `begin` on.
Tensor Tensor::copy_of_file(std::size_t begin, const Shape& shape, const Device& host) const {
  const auto first = static_cast<std::size_t>(static_cast<std::byte*>(data_) - file_->data()) + begin;
  return {file_->copy(first, checked_bytes(shape, dtype_)), 0, shape, dtype_, host};
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  const ConstView own = view().slice(0, begin, end);
  if (file_ && own.count() > 0)
    return copy_of_file(static_cast<std::size_t>(begin) * bytes_of_row(), own.shape(), *device_);
  Tensor copy(own.shape(), dtype_, device());
  copy_bytes(own, copy);
  return copy;
}

void Tensor::will_need(std::int64_t begin, std::int64_t end) const noexcept {
  if (!file_ || rank() == 0) return;
  const std::int64_t first = std::max<std::int64_t>(begin, 0), last = std::min(end, shape_.extents().front());
  if (first >= last) return;
  const auto offset = static_cast<std::size_t>(static_cast<std::byte*>(data_) - file_->data());
  file_->will_need(offset + static_cast<std::size_t>(first) * bytes_of_row(),
                   static_cast<std::size_t>(last - first) * bytes_of_row());
}

void Tensor::will_need(std::span<const std::int64_t> rows) const noexcept {
  if (!file_ || rows.empty()) return;
  const auto count = static_cast<std::int64_t>(rows.size());
  if (rows.back() - rows.front() <= 2 * count && std::ranges::is_sorted(rows)) {
    return will_need(rows.front(), rows.back() + 1);
  }
  for (const std::int64_t row : rows) will_need(row, row + 1);
}

/// Of the first axis, which is not empty.
std::size_t Tensor::bytes_of_row() const noexcept {
  return bytes() / static_cast<std::size_t>(shape_.extents().front());
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
