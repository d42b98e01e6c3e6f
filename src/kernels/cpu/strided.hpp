// Walks several views of one shape together, with as few and as long rows as their strides allow.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/cpu/parallel.hpp"
#include "rtl/core/tensor.hpp"

namespace rtl::kernels::cpu {

/// A callable by reference: what walks rows is compiled once, not once for each operation.
template <std::size_t Operands>
class RowFunction {
 public:
  template <typename F>
  explicit RowFunction(const F& f)
      : object_(&f),
        call_([](const void* object, const std::array<std::int64_t, Operands>& offsets, std::int64_t length) {
          (*static_cast<const F*>(object))(offsets, length);
        }) {}
  void operator()(const std::array<std::int64_t, Operands>& offsets, std::int64_t length) const {
    call_(object_, offsets, length);
  }

 private:
  const void* object_;
  void (*call_)(const void*, const std::array<std::int64_t, Operands>&, std::int64_t);
};

/// `Operands` views of one shape, cut into rows along their last (merged) axis.
template <std::size_t Operands>
class StridedLoop {
 public:
  StridedLoop(const Shape& shape, const std::array<Strides, Operands>& strides) {
    for (int axis = 0; axis < shape.rank(); ++axis) add_axis(shape[axis], strides, static_cast<std::size_t>(axis));
    if (rank_ == 0) add_extent(1);
    for (std::size_t axis = 0; axis + 1 < rank_; ++axis) rows_ *= extents_[axis];
  }

  std::int64_t row_length() const { return extents_[rank_ - 1]; }
  /// Stride of an operand within a row.
  std::int64_t step(std::size_t operand) const { return strides_[operand][rank_ - 1]; }

  /// Calls f(offsets of the operands' first elements, length) on pieces of rows, in parallel.
  template <typename F>
  void run(const F& f) const {
    run_rows(RowFunction<Operands>(f));
  }

 private:
  void run_rows(const RowFunction<Operands>& f) const {
    if (rows_ == 1) {
      parallel_ranges(row_length(), elements_per_thread, [&](std::int64_t begin, std::int64_t end) {
        std::array<std::int64_t, Operands> offsets;
        for (std::size_t operand = 0; operand < Operands; ++operand) offsets[operand] = begin * step(operand);
        f(offsets, end - begin);
      });
    } else {
      parallel_ranges(rows_, grain_of(row_length()), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) f(offsets_of(row), row_length());
      });
    }
  }

  /// Appends an axis, or merges it with the one before if every operand continues from one to the other.
  void add_axis(std::int64_t extent, const std::array<Strides, Operands>& strides, std::size_t axis) {
    if (extent == 1) return;
    bool merges = rank_ > 0;
    for (std::size_t operand = 0; operand < Operands && merges; ++operand) {
      merges = strides_[operand][rank_ - 1] == strides[operand][axis] * extent;
    }
    if (merges) {
      extents_[rank_ - 1] *= extent;
    } else {
      add_extent(extent);
    }
    for (std::size_t operand = 0; operand < Operands; ++operand) strides_[operand][rank_ - 1] = strides[operand][axis];
  }

  void add_extent(std::int64_t extent) { extents_[rank_++] = extent; }

  std::array<std::int64_t, Operands> offsets_of(std::int64_t row) const {
    std::array<std::int64_t, Operands> offsets{};
    for (std::size_t axis = rank_ - 1; axis-- > 0;) {
      const std::int64_t position = row % extents_[axis];
      row /= extents_[axis];
      for (std::size_t operand = 0; operand < Operands; ++operand) {
        offsets[operand] += position * strides_[operand][axis];
      }
    }
    return offsets;
  }

  std::size_t rank_ = 0;
  std::int64_t rows_ = 1;
  std::array<std::int64_t, Shape::max_rank> extents_{};
  std::array<Strides, Operands> strides_{};
};

extern template class StridedLoop<1>;
extern template class StridedLoop<2>;
extern template class StridedLoop<3>;

}  // namespace rtl::kernels::cpu
