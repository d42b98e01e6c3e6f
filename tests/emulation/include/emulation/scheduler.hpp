// Runs a grid of CUDA threads on the host: one block at a time, those of a cooperative launch in turns, one fiber per
// thread that has to wait, in an order that RTL_EMULATION_ORDER chooses: forward (the default), reverse, or
// shuffled:SEED.
#pragma once

#include <cstddef>
#include <source_location>
#include <stdexcept>

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned first = 1, unsigned second = 1, unsigned third = 1) : x(first), y(second), z(third) {}
};

namespace emulation {

/// What a kernel did wrong: a barrier that not all threads reach, a shuffle from an absent lane, an impossible launch.
/// The text names the block, the thread and the source line. The launch that meets it ends by throwing it.
class Fault : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Blocks of a cooperative launch that the device has room for: few, so that each has several parts of a grid's work.
constexpr unsigned multiprocessors = 3, blocks_of_multiprocessor = 2;
constexpr std::size_t resident_blocks = std::size_t{multiprocessors} * blocks_of_multiprocessor;

struct Launch {
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  bool cooperative = false;  ///< blocks may wait for each other: synchronize_grid
};

/// Calls thread(arguments) once for every thread of the grid, with threadIdx and its kin set. Launches of several host
/// threads take turns. Throws Fault, or what a thread threw.
void run(const Launch& launch, void (*thread)(const void*), const void* arguments);

template <typename Body>
void run(const Launch& launch, const Body& body) {
  run(
      launch, [](const void* arguments) { (*static_cast<const Body*>(arguments))(); }, &body);
}

/// Which of `count` pieces of work that could all be next comes next: the first, the last or any, by
/// RTL_EMULATION_ORDER.
std::size_t choose(std::size_t count);

/// The barrier of all threads of a cooperative launch.
void synchronize_grid(const std::source_location& where);

/// The block-wide barrier; gives true if `predicate` was true in any thread.
bool synchronize_block(bool predicate, const std::source_location& where);

/// Shared memory of the running block that belongs to `key`: as large as asked, and not a byte larger; filled with
/// 0xff bytes (NaN) when the block starts.
void* shared_memory(const void* key, std::size_t bytes);
/// The launch's shared_bytes.
void* dynamic_shared_memory();

/// What one lane brings to a warp primitive. When all lanes of `mask` have come, `resolve` is called for each of them.
struct WarpCall {
  unsigned mask;
  std::source_location where;
  void (*resolve)(WarpCall& own, const WarpCall* const* lanes);
};
/// Waits until every lane of call.mask has come with the same mask to the same place.
void synchronize_warp(WarpCall& call);
unsigned lane_index();
/// Throws a Fault that names the running thread.
[[noreturn]] void fail(const char* what, const std::source_location& where);

}  // namespace emulation
