// Tensor owns memory, View and ConstView look at it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rtl/core/device.hpp"
#include "rtl/core/dtype.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/file_memory.hpp"
#include "rtl/core/memory.hpp"
#include "rtl/core/shape.hpp"

namespace rtl {

using Strides = std::array<std::int64_t, Shape::max_rank>;

/// A strided window on memory that somebody else owns. Cheap to copy; valid while the owner lives. `Element` is `void`
/// (View: may be written) or `const void` (ConstView: read only); a View converts to a ConstView.
template <typename Element>
class BasicView {
 public:
  /// No view at all: `given()` is false. Stands for an optional operand that is not given.
  BasicView() = default;
  BasicView(Element* data, DType dtype, const Shape& shape, const Strides& strides, detail::Context* context)
      : data_(data), dtype_(dtype), shape_(shape), strides_(strides), context_(context) {}
  /// Contiguous, row-major.
  BasicView(Element* data, DType dtype, const Shape& shape, const Device& device)
      : BasicView(data, dtype, shape, contiguous_strides(shape), &device.context()) {}
  /// A device that is about to end may take its context along: give the handle a name, and keep it as long as the view.
  BasicView(Element* data, DType dtype, const Shape& shape, Device&& device) = delete;
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator BasicView<const void>() const {
    return context_ ? BasicView<const void>(data_, dtype_, shape_, strides_, context_) : BasicView<const void>();
  }

  bool given() const noexcept { return context_ != nullptr; }
  Element* data() const noexcept { return data_; }
  /// Typed pointer. Throws DTypeError if T is not the view's dtype.
  template <typename T>
  auto data_as() const {
    check_dtype(dtype_of<T>());
    using Pointer = std::conditional_t<std::is_const_v<Element>, const T*, T*>;
    return static_cast<Pointer>(data_);
  }
  DType dtype() const noexcept { return dtype_; }
  const Shape& shape() const noexcept { return shape_; }
  int rank() const noexcept { return shape_.rank(); }
  /// Extent of an axis; negative counts from the end.
  std::int64_t extent(int axis) const { return shape_[axis]; }
  std::int64_t count() const noexcept { return shape_.count(); }
  /// Of the elements, repeated ones included. Throws OutOfMemory where the product cannot be addressed.
  std::size_t bytes() const { return checked_bytes(shape_, dtype_); }
  /// Distance, in elements, between neighbours along each axis; 0 repeats one element.
  const Strides& strides() const noexcept { return strides_; }
  bool is_contiguous() const noexcept;
  detail::Context* context() const noexcept { return context_; }
  /// Where the elements are. Throws DeviceError if not given.
  Device device() const;

  /// Same memory, other shape. Throws ShapeError if the counts differ or the view is not contiguous.
  BasicView reshaped(const Shape& shape) const;
  /// Rows [begin, end) of axis `axis`.
  BasicView slice(int axis, std::int64_t begin, std::int64_t end) const;
  /// Axes reordered: result axis i is source axis order[i].
  BasicView permuted(std::span<const int> order) const;
  BasicView permuted(std::initializer_list<int> order) const {
    return permuted(std::span<const int>(order.begin(), order.size()));
  }
  /// Repeats axes of extent 1 (and adds leading axes) to reach `shape`, as NumPy does. Throws ShapeError.
  BasicView broadcast_to(const Shape& shape) const;

 private:
  void check_dtype(DType wanted) const;

  Element* data_ = nullptr;
  DType dtype_ = DType::f32;
  Shape shape_;
  Strides strides_{};
  detail::Context* context_ = nullptr;
};

using View = BasicView<void>;
using ConstView = BasicView<const void>;
extern template class BasicView<void>;
extern template class BasicView<const void>;

/// Owns contiguous, row-major memory on one device. Moves; copies only where you write `clone()` or `to()`.
/// Image tensors are [N, H, W, C], convolution weights [out, in, height, width], linear weights [out, in].
class Tensor {
 public:
  /// Holds nothing; `defined()` is false.
  Tensor() = default;
  /// Memory is not initialised. Throws OutOfMemory, naming dtype, shape, bytes and what the pool holds, also where the
  /// bytes are beyond what can be addressed or what the machine has; nothing is touched then.
  Tensor(const Shape& shape, DType dtype, const Device& device);
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;
  ~Tensor();

  /// Contents of `memory` from its byte `begin` on, on a host, in their place. A View of the tensor, which may be
  /// written through, makes the memory writable; a ConstView does not. Throws ShapeError where the memory is too small
  /// or not aligned to the dtype.
  Tensor(FileMemory memory, std::size_t begin, const Shape& shape, DType dtype, const Device& host);
  /// Memory for samples, not initialised: as the constructor gives it, or on a host, where it is more than
  /// in_memory_limit(), a scratch file's. Throws as the constructor and FileMemory::scratch.
  static Tensor out_of_core(const Shape& shape, DType dtype, const Device& device);

  /// All bytes zero, set where they lie.
  static Tensor zeros(const Shape& shape, DType dtype, const Device& device);
  /// Copies host values in row-major order. Throws ShapeError if their number is not the shape's count.
  template <typename T>
  static Tensor from(std::span<const T> values, const Shape& shape, const Device& device) {
    return from_bytes(values.data(), values.size(), shape, dtype_of<T>(), device);
  }
  template <typename T>
  static Tensor from(const std::vector<T>& values, const Shape& shape, const Device& device) {
    return from(std::span<const T>(values), shape, device);
  }

  bool defined() const noexcept { return device_.has_value(); }
  const Shape& shape() const noexcept { return shape_; }
  int rank() const noexcept { return shape_.rank(); }
  std::int64_t extent(int axis) const { return shape_[axis]; }
  std::int64_t count() const noexcept { return shape_.count(); }
  DType dtype() const noexcept { return dtype_; }
  std::size_t bytes() const noexcept { return static_cast<std::size_t>(count()) * size_of(dtype_); }
  /// Throws DeviceError if not defined.
  const Device& device() const;

  View view();
  ConstView view() const;
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator View() { return view(); }
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator ConstView() const { return view(); }
  template <typename T>
  T* data_as() {
    return view().data_as<T>();
  }
  template <typename T>
  const T* data_as() const {
    return view().data_as<T>();
  }

  /// Gives the same memory another shape. Throws ShapeError if the counts differ.
  Tensor reshaped(const Shape& shape) &&;
  /// The copies of what lies in a file's memory do so, too, on hosts.
  Tensor clone() const;
  /// A copy on another device (also when it is the same).
  Tensor to(const Device& device) const;
  /// A copy of rows [begin, end) of the first axis. Throws ShapeError for others than there are.
  Tensor rows(std::int64_t begin, std::int64_t end) const;
  /// Whether it lies in a file's memory.
  bool in_file() const noexcept { return file_ != nullptr; }
  /// Has the system read rows [begin, end) of the first axis that lie in a file; those that there are not, and what
  /// lies in memory, need nothing. Returns while it reads.
  void will_need(std::int64_t begin, std::int64_t end) const noexcept;
  /// The same of rows in any order; of ascending ones that are half of their range, also those between.
  void will_need(std::span<const std::int64_t> rows) const noexcept;
  /// Values in row-major order; waits for the device. Throws DTypeError if T is not the dtype.
  template <typename T>
  std::vector<T> to_vector() const {
    view().data_as<T>();
    std::vector<T> values(static_cast<std::size_t>(count()));
    copy_to_host(values.data());
    return values;
  }
  /// The only element. Throws ShapeError if there is not exactly one.
  template <typename T>
  T item() const {
    check_single();
    return to_vector<T>().front();
  }

 private:
  static Tensor from_bytes(const void* values, std::size_t count, const Shape& shape, DType dtype,
                           const Device& device);
  void copy_to_host(void* to) const;
  void check_single() const;
  Tensor copy_of_file(std::size_t begin, const Shape& shape, const Device& host) const;
  std::size_t bytes_of_row() const noexcept;
  void release() noexcept;

  std::optional<Device> device_;
  void* data_ = nullptr;
  std::unique_ptr<FileMemory> file_;  ///< whose the data are; null where they are a pool's
  Shape shape_;
  DType dtype_ = DType::f32;
};

/// Raw copy between contiguous views of equal shape and dtype, on any devices. Waits where the host is involved.
void copy_bytes(ConstView from, View to);

}  // namespace rtl
