#include "rtl/core/shape.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/joined.hpp"
#include "rtl/core/error.hpp"

namespace rtl {

Shape::Shape(std::initializer_list<std::int64_t> extents)
    : Shape(std::span<const std::int64_t>(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const std::int64_t> extents) {
  if (extents.size() > static_cast<std::size_t>(max_rank)) {
    throw ShapeError(fmt::format("Shape: {} axes, but at most {} are supported", extents.size(), max_rank));
  }
  std::int64_t count = 1;
  for (const std::int64_t extent : extents) {
    if (extent < 0) throw ShapeError(fmt::format("Shape: extent {} is negative", extent));
    if (__builtin_mul_overflow(count, std::max<std::int64_t>(extent, 1), &count)) {
      throw ShapeError(fmt::format("Shape: [{}] has more than 2^63 - 1 elements", joined(extents, ", ")));
    }
    extents_[static_cast<std::size_t>(rank_++)] = extent;
  }
}

std::int64_t Shape::count() const noexcept {
  std::int64_t count = 1;
  for (const std::int64_t extent : extents()) count *= extent;
  return count;
}

std::int64_t Shape::operator[](int axis) const {
  const int wanted = axis < 0 ? axis + rank_ : axis;
  if (wanted < 0 || wanted >= rank_) {
    throw ShapeError(fmt::format("Shape: axis {} of {}, which has rank {}", axis, to_string(), rank_));
  }
  return extents_[static_cast<std::size_t>(wanted)];
}

Shape Shape::with(int axis, std::int64_t extent) const {
  (void)(*this)[axis];
  std::array<std::int64_t, max_rank> changed = extents_;
  changed[static_cast<std::size_t>(axis < 0 ? axis + rank_ : axis)] = extent;
  return Shape(std::span<const std::int64_t>(changed.data(), static_cast<std::size_t>(rank_)));
}

std::string Shape::to_string() const { return fmt::format("[{}]", joined(extents(), ", ")); }

bool operator==(const Shape& a, const Shape& b) noexcept { return std::ranges::equal(a.extents(), b.extents()); }

std::array<std::int64_t, Shape::max_rank> contiguous_strides(const Shape& shape) noexcept {
  std::array<std::int64_t, Shape::max_rank> strides{};
  std::int64_t step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const auto i = static_cast<std::size_t>(axis);
    strides[i] = step;
    step *= shape.extents()[i];
  }
  return strides;
}

}  // namespace rtl
