// Sizes of memory, checked before anything is asked for, and texts for memory that cannot be had.
#pragma once

#include <cstddef>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "rtl/core/dtype.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/shape.hpp"

namespace rtl {

/// More bytes than a process can address.
constexpr std::size_t address_space = std::size_t{1} << 47;

/// Bytes of a tensor of this shape. Throws OutOfMemory, naming dtype and shape, from `address_space` on: the product
/// never wraps.
std::size_t checked_bytes(const Shape& shape, DType dtype);

/// count * size. Throws OutOfMemory, naming both, for a negative count and from `address_space` on.
std::size_t checked_bytes(std::int64_t count, std::size_t size);

/// f(), whose want of memory is reported with `what` (a file's name, a call with its sizes) in front: an OutOfMemory,
/// and std::bad_alloc and std::length_error of the standard library, leave as OutOfMemory.
template <typename F>
decltype(auto) with_memory_for(std::string_view what, F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const OutOfMemory& fault) {
    throw OutOfMemory(std::string(what) + ": " + fault.what());
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(std::string(what) + ": the memory for it could not be had");
  } catch (const std::length_error&) {
    throw OutOfMemory(std::string(what) + ": takes more memory than can be addressed");
  }
}

}  // namespace rtl
