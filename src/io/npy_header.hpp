// The header of a .npy file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "rtl/core/shape.hpp"
#include "rtl/core/tensor.hpp"
#include "rtl/io/file.hpp"

namespace rtl::io {

/// A parsed header, and what stands behind it.
struct NpyContent {
  std::string type;            ///< kind and bytes of an element, without its byte order: "f4", "U3"
  bool swapped = false;        ///< the elements are big-endian
  bool fortran_order = false;  ///< the first axis is the fastest
  Shape shape;
  std::span<const std::byte> data;  ///< of the content that was parsed
};

/// Throws FormatError, naming `name`, for what is no .npy file, a damaged header, structures, and a shape that cannot
/// be.
NpyContent parse_npy_content(std::span<const std::byte> content, const std::string& name);

/// Throws FormatError unless there are as many elements of `bytes` bytes as the shape says.
void check_npy_size(const NpyContent& content, std::size_t bytes, const std::string& name);

/// Bytes of an element of numbers. Throws FormatError for other types.
std::size_t npy_element_bytes(const NpyContent& content, const std::string& name);

/// What its elements become. Throws FormatError likewise.
DType npy_dtype(const NpyContent& content, const std::string& name);

/// Whether its bytes are those of a tensor. Throws FormatError likewise.
bool npy_is_native(const NpyContent& content, const std::string& name);

/// What stands before the values of a .npy file: magic, version and header. Throws ShapeError for a strided view and
/// DTypeError for bf16.
Bytes npy_prefix(ConstView values);

/// The values as parse_npy gives them.
Tensor npy_values(const NpyContent& content, const std::string& name, const Device& device);

}  // namespace rtl::io
