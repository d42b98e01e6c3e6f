// A second stack of execution inside one host thread. Switching is a handful of instructions on x86-64 and swapcontext
// elsewhere; AddressSanitizer is told of every switch.
#pragma once

#include <cstddef>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulation {

class Fiber {
 public:
  /// Stands for the stack that the calling thread runs on now.
  Fiber() = default;
  /// Runs entry(argument) when first switched to. `entry` never returns: it switches away for good.
  Fiber(void (*entry)(void*), void* argument);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  /// Suspends the running fiber, which must be `from`, and continues `to`.
  static void switch_from_to(Fiber& from, Fiber& to);

 private:
  static void start();
  static void arrived();

  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  void* mapping_ = nullptr;
  const void* stack_ = nullptr;  // lowest usable address
  std::size_t stack_bytes_ = 0;
  void* fake_stack_ = nullptr;  // AddressSanitizer's
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_{};
#endif
};

}  // namespace emulation
