#include "rtl/core/memory.hpp"

#include <fmt/format.h>

namespace rtl {
namespace {

/// False if the product is beyond what can be addressed.
bool multiply(std::int64_t count, std::size_t size, std::size_t& bytes) {
  return count >= 0 && !__builtin_mul_overflow(static_cast<std::size_t>(count), size, &bytes) && bytes < address_space;
}

double gibibytes(std::int64_t count, std::size_t size) {
  return static_cast<double>(count) * static_cast<double>(size) / static_cast<double>(std::size_t{1} << 30);
}

}  // namespace

std::size_t checked_bytes(const Shape& shape, DType dtype) {
  std::size_t bytes = 0;
  if (multiply(shape.count(), size_of(dtype), bytes)) return bytes;
  throw OutOfMemory(fmt::format("{} {} takes {:.4g} GiB, more than can be addressed", name_of(dtype), shape.to_string(),
                                gibibytes(shape.count(), size_of(dtype))));
}

std::size_t checked_bytes(std::int64_t count, std::size_t size) {
  std::size_t bytes = 0;
  if (multiply(count, size, bytes)) return bytes;
  throw OutOfMemory(fmt::format("{} elements of {} bytes take {:.4g} GiB, which cannot be addressed", count, size,
                                gibibytes(count, size)));
}

}  // namespace rtl
