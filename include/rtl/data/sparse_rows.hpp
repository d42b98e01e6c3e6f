// Rows of which most elements are zero, in memory as their other elements alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/sparse.hpp"

namespace rtl::data {

/// Whether rows that are read stay sparse: as stays_sparse says, or in any case, or never.
enum class SparseForm : std::uint8_t { automatic, yes, no };
/// "auto", "yes", "no". Throws ValueError.
SparseForm parse_sparse_form(const std::string& text);

/// A matrix [rows, width] by its rows (CSR) on one device: offsets i64 [rows + 1], and for each entry, the columns
/// ascending within a row, its column i32 and its value f32. 8 bytes an entry and 8 a row, whatever the width. Moves;
/// copies only where you write clone() or to(). Never changes, and always is what the constructor has checked.
class SparseRows {
 public:
  /// None at all: defined() is false.
  SparseRows() = default;
  /// Row i has the entries offsets[i] .. offsets[i + 1] - 1. Values may be anything (Dataset::validate looks whether
  /// they are finite), also zero. Throws ShapeError for lists whose lengths do not fit and a width outside [1, 2^31];
  /// ValueError, naming the row, for offsets that do not begin with 0, fall, or do not end with the number of entries,
  /// and for columns outside the width or that do not ascend.
  SparseRows(std::int64_t width, std::span<const std::int64_t> offsets, std::span<const std::int32_t> columns,
             std::span<const float> values, const Device& device);
  /// The elements of a matrix f32 [n, p] that are not zero, on its device. Throws ShapeError, DTypeError.
  static SparseRows of(const Tensor& dense);

  bool defined() const noexcept { return values_.defined(); }
  std::int64_t rows() const { return defined() ? offsets_.extent(0) - 1 : 0; }
  std::int64_t width() const noexcept { return width_; }
  std::int64_t entries() const { return values_.count(); }
  std::size_t bytes() const { return offsets_.bytes() + columns_.bytes() + values_.bytes(); }
  /// Of the dense matrix; a double, as it may be beyond any memory.
  double dense_bytes() const { return 4.0 * static_cast<double>(rows()) * static_cast<double>(width_); }
  const Device& device() const { return values_.device(); }

  const Tensor& offsets() const noexcept { return offsets_; }
  const Tensor& columns() const noexcept { return columns_; }
  const Tensor& values() const noexcept { return values_; }
  /// As kernels take it.
  kernels::SparseRows view() const { return {offsets_, columns_, values_}; }

  SparseRows clone() const { return defined() ? to(device()) : SparseRows(); }
  SparseRows to(const Device& device) const;
  /// The rows in the given order (they may repeat), which must be there: of CUDA by way of the host.
  SparseRows subset(std::span<const std::int64_t> rows) const;

  /// f32 [rows, width]. Throws ValueError, which begins with `purpose` and says how many GiB it would take, beyond
  /// `most_bytes`.
  Tensor dense(std::string_view purpose, double most_bytes = most_dense_bytes) const;
  static constexpr double most_dense_bytes = 4.0 * (std::int64_t{1} << 30);

 private:
  std::int64_t width_ = 0;
  Tensor offsets_, columns_, values_;
};

/// Whether rows stay sparse that were read as such: with SparseForm::automatic where the dense form would take more
/// than 64 MiB, and at most a tenth of its elements are not zero.
bool stays_sparse(SparseForm form, const SparseRows& rows);

/// The entries on the host, wherever they are.
class HostEntries {
 public:
  explicit HostEntries(const SparseRows& rows);
  HostEntries(const HostEntries&) = delete;
  HostEntries& operator=(const HostEntries&) = delete;
  std::span<const std::int64_t> offsets;
  std::span<const std::int32_t> columns;
  std::span<const float> values;
  /// The first value that is not finite, as an error text; empty if all are.
  std::string find_not_finite() const;

 private:
  SparseRows copy_;
};

}  // namespace rtl::data
