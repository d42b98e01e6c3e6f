// Memory where the address space is limited (ulimit -v, batch systems).
#pragma once

#include <cstddef>

namespace rtl::detail {

/// What OpenBLAS takes for each buffer: one a thread when it is loaded, another a thread when calls run side by side.
inline constexpr std::size_t blas_buffer_bytes = std::size_t{128} << 20;
/// What the libraries take when they are loaded, and room for small work.
inline constexpr std::size_t program_bytes = std::size_t{224} << 20;
/// What a thread takes: two buffers and a stack.
inline constexpr std::size_t thread_bytes = 2 * blas_buffer_bytes + (std::size_t{10} << 20);

/// Bytes of memory, and of swap beside it, that the machine has; of memory what the process's cgroups grant, where that
/// is less.
struct MachineMemory {
  std::size_t installed;
  std::size_t swap;
};
MachineMemory machine_memory();

/// Whether the address space is limited (RLIMIT_AS).
bool memory_limited() noexcept;

/// Whether `bytes` more may be taken such that OpenBLAS and oneDNN, which wait for ever or crash where they get none,
/// still find theirs. True where the address space is not limited.
bool memory_left(std::size_t bytes) noexcept;

}  // namespace rtl::detail
