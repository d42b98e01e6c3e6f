// Extents of a tensor: a small vector of at most eight non-negative 64-bit integers.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace rtl {

class Shape {
 public:
  static constexpr int max_rank = 8;

  /// Rank 0: a scalar with one element.
  Shape() = default;
  /// Throws ShapeError for more than max_rank extents, a negative extent, or an element count beyond 2^63 - 1.
  Shape(std::initializer_list<std::int64_t> extents);
  explicit Shape(std::span<const std::int64_t> extents);

  int rank() const noexcept { return rank_; }
  /// Number of elements; 1 for rank 0.
  std::int64_t count() const noexcept;
  /// Extent `axis`; negative counts from the end. Throws ShapeError outside the rank.
  std::int64_t operator[](int axis) const;
  std::span<const std::int64_t> extents() const noexcept { return {extents_.data(), static_cast<std::size_t>(rank_)}; }
  /// A copy with extent `axis` (negative counts from the end) replaced.
  Shape with(int axis, std::int64_t extent) const;
  /// "[64, 32, 32, 3]".
  std::string to_string() const;

  friend bool operator==(const Shape& a, const Shape& b) noexcept;

 private:
  std::array<std::int64_t, max_rank> extents_{};
  int rank_ = 0;
};

/// Row-major strides, in elements.
std::array<std::int64_t, Shape::max_rank> contiguous_strides(const Shape& shape) noexcept;

}  // namespace rtl
