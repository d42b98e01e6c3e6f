// Rows of a .npy file that is larger than memory: what is not asked for stays on disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "rtl/core/tensor.hpp"

namespace rtl::io {

/// A .npy file, mapped. Reading rows needs memory for these rows alone. Safe to read from several threads.
class NpyRows {
 public:
  /// Throws IoError if the file cannot be read; FormatError for a .gz, text, an array without rows, column-major order
  /// of several axes, a damaged header, and other sizes than the shape says.
  explicit NpyRows(const std::string& path);
  ~NpyRows();

  const std::string& path() const;
  const Shape& shape() const;  ///< [rows, ...]
  std::int64_t rows() const { return shape()[0]; }
  DType dtype() const;  ///< that read_npy gives
  /// All values: where they lie in the file, if they are stored as they are used and aligned, else converted into
  /// Tensor::out_of_core. On device.host().
  Tensor whole(const Device& device) const;
  /// Rows [begin, end) of the shape, in the dtype that read_npy gives, on device.host(). Throws ShapeError for others
  /// than there are.
  Tensor read(std::int64_t begin, std::int64_t end, const Device& device) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rtl::io
