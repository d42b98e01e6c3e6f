// Compiled without -fsanitize: the sanitizers' own code must not run while a stack is half switched.
#include "fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <new>
#if RTL_EMULATION_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__)
// Saves the registers that a call preserves on the running stack and takes those of the other stack.
asm(R"(
.text
.globl rtl_emulation_switch
.type rtl_emulation_switch, @function
rtl_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size rtl_emulation_switch, .-rtl_emulation_switch
)");
extern "C" void rtl_emulation_switch(void** save, void* load);
#endif

namespace emulation {
namespace {

// Sanitized kernels have large frames. The pages are only touched as far as they are used.
constexpr std::size_t stack_bytes = 256 * 1024;

thread_local Fiber* leaving = nullptr;
thread_local Fiber* entering = nullptr;

}  // namespace

Fiber::Fiber(void (*entry)(void*), void* argument) : entry_(entry), argument_(argument), stack_bytes_(stack_bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  mapping_ =
      mmap(nullptr, stack_bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping_ == MAP_FAILED) throw std::bad_alloc();
  mprotect(mapping_, page, PROT_NONE);
  char* bottom = static_cast<char*>(mapping_) + page;
  stack_ = bottom;
#if defined(__x86_64__)
  // As if rtl_emulation_switch had been called by start(), on a stack aligned as the ABI wants it at a function's
  // entry.
  void** top = reinterpret_cast<void**>(bottom + stack_bytes) - 1;
  *--top = reinterpret_cast<void*>(&Fiber::start);
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  stack_pointer_ = top;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = bottom;
  context_.uc_stack.ss_size = stack_bytes;
  context_.uc_link = nullptr;
  makecontext(&context_, &Fiber::start, 0);
#endif
}

Fiber::~Fiber() {
  if (mapping_ != nullptr) munmap(mapping_, stack_bytes_ + static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
}

void Fiber::start() {
  arrived();
  entering->entry_(entering->argument_);
}

void Fiber::arrived() {
#if RTL_EMULATION_ASAN
  // The bounds of the stack just left are only learnt here; for the host thread's own stack it is the only way.
  __sanitizer_finish_switch_fiber(entering->fake_stack_, &leaving->stack_, &leaving->stack_bytes_);
#endif
}

void Fiber::switch_from_to(Fiber& from, Fiber& to) {
  leaving = &from;
  entering = &to;
#if RTL_EMULATION_ASAN
  __sanitizer_start_switch_fiber(&from.fake_stack_, to.stack_, to.stack_bytes_);
#endif
#if defined(__x86_64__)
  rtl_emulation_switch(&from.stack_pointer_, to.stack_pointer_);
#else
  swapcontext(&from.context_, &to.context_);
#endif
  arrived();
}

}  // namespace emulation
