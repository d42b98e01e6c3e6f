// Memory where the address space is limited (ulimit -v, batch systems).
#pragma once

#include <cstddef>

namespace rtl::detail {

/// What the libraries take when they are loaded, and room for small work.
inline constexpr std::size_t program_bytes = std::size_t{288} << 20;
/// What a thread takes: OpenBLAS's buffer of 128 MiB and a stack.
inline constexpr std::size_t thread_bytes = std::size_t{150} << 20;

/// Whether `bytes` more may be taken such that OpenBLAS and oneDNN, which wait for ever or crash where they get none,
/// still find theirs. True where the address space is not limited.
bool memory_left(std::size_t bytes) noexcept;

}  // namespace rtl::detail
