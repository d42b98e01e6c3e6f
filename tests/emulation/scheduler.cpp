// Compiled without -fsanitize, as fiber.cpp is; the kernels are compiled with it.
#include "emulation/scheduler.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "emulation/language.hpp"
#include "emulation/runtime.hpp"
#include "fiber.hpp"

uint3 threadIdx{};
uint3 blockIdx{};
dim3 blockDim;
dim3 gridDim;

namespace emulation {
namespace {

enum class State : std::uint8_t { fresh, ready, at_barrier, at_warp, at_grid, done };
enum class Order : std::uint8_t { forward, reverse, shuffled };

struct Thread {
  uint3 index{};
  unsigned number = 0;
  State state = State::fresh;
  Fiber* fiber = nullptr;
  std::source_location where;  // while at_barrier, at_warp or at_grid
  bool predicate = false;      // brought to a barrier, then the barrier's answer
  WarpCall* call = nullptr;    // while at_warp
};

/// Unwinds a suspended thread of a launch that has failed.
struct Cancelled {};

std::string to_string(const uint3& index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," + std::to_string(index.z) + ")";
}

std::string to_string(const std::source_location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

bool same_place(const std::source_location& a, const std::source_location& b) {
  if (a.line() != b.line() || a.column() != b.column()) return false;
  // One place has one text, but for files compiled apart: comparing its letters each time would be half of all work.
  return a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0;
}

/// The exact-size pieces of shared memory of one block.
class SharedMemory {
 public:
  ~SharedMemory() { clear(); }
  void* get(const void* key, std::size_t bytes) {
    for (const Piece& piece : pieces_) {
      if (piece.key == key) return piece.pointer;
    }
    total_ += bytes;
    if (total_ > limit) {
      throw Fault("the block uses " + std::to_string(total_) + " bytes of shared memory; at most " +
                  std::to_string(limit) + " can be had");
    }
    void* pointer = std::malloc(bytes);
    if (pointer == nullptr) throw std::bad_alloc();
    std::memset(pointer, 0xff, bytes);
    pieces_.push_back({key, pointer});
    return pointer;
  }
  void clear() {
    for (const Piece& piece : pieces_) std::free(piece.pointer);
    pieces_.clear();
    total_ = 0;
  }

 private:
  static constexpr std::size_t limit = 48 * 1024;
  struct Piece {
    const void* key;
    void* pointer;
  };
  std::vector<Piece> pieces_;
  std::size_t total_ = 0;
};

/// A block that has begun.
struct Block {
  uint3 index{};
  std::vector<Thread> threads;
  SharedMemory shared;
};

class Scheduler {
 public:
  void run(const Launch& launch, void (*thread)(const void*), const void* arguments);
  std::size_t choose(std::size_t count);
  void synchronize_grid(const std::source_location& where);
  bool synchronize_block(bool predicate, const std::source_location& where);
  void synchronize_warp(WarpCall& call);
  void* shared(const void* key, std::size_t bytes) { return block_->shared.get(key, bytes); }
  void* dynamic_shared();
  const Thread& current() const { return *current_; }
  [[noreturn]] void fail(const std::string& what, const std::source_location& where) const;

 private:
  void read_order();
  void begin_block(Block& block, std::size_t number);
  void run_one_by_one(const std::vector<std::size_t>& order);
  void run_side_by_side(const std::vector<std::size_t>& order);
  void run_block(Block& block);
  bool run_pass();
  void open_barrier();
  void open_grid_barrier(std::vector<Block>& blocks);
  void cancel(Block& block);
  void enter(Thread& thread);
  void resume(Thread& thread);
  void suspend();
  void call_thread() noexcept;
  Thread* next_in_pass();
  static void fiber_main(void* scheduler);

  std::string order_text_ = "forward";
  Order order_ = Order::forward;
  std::mt19937 random_;

  void (*body_)(const void*) = nullptr;
  const void* arguments_ = nullptr;
  std::size_t dynamic_bytes_ = 0;
  bool cooperative_ = false;
  Block* block_ = nullptr;          // the running one
  std::vector<unsigned> sequence_;  // thread numbers in the order of a pass
  std::size_t position_ = 0;        // in sequence_, during a pass
  Thread* current_ = nullptr;
  Fiber host_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  std::exception_ptr fault_;
  bool cancelling_ = false;
};

void Scheduler::read_order() {
  const char* given = std::getenv("RTL_EMULATION_ORDER");
  const std::string text = given == nullptr ? "forward" : given;
  if (text == order_text_) return;
  constexpr std::string_view shuffled = "shuffled:";
  unsigned seed = 0;
  bool understood = text == "forward" || text == "reverse";
  if (text.starts_with(shuffled)) {
    const auto [stop, error] = std::from_chars(text.data() + shuffled.size(), text.data() + text.size(), seed);
    understood = error == std::errc() && stop == text.data() + text.size();
  }
  if (!understood) {
    throw Fault("RTL_EMULATION_ORDER is '" + text + "'; it may be forward, reverse or shuffled:SEED");
  }
  order_ = text == "forward" ? Order::forward : text == "reverse" ? Order::reverse : Order::shuffled;
  random_.seed(seed);
  order_text_ = text;
}

void Scheduler::run(const Launch& launch, void (*thread)(const void*), const void* arguments) {
  read_order();
  const dim3 &grid = launch.grid, &block = launch.block;
  const std::uint64_t count = std::uint64_t{block.x} * block.y * block.z;
  if (count == 0 || count > 1024 || block.z > 64)
    throw Fault("a block has " + std::to_string(count) + " threads; 1 to 1024 are possible");
  if (grid.x > 0x7fffffffu || grid.y > 65535u || grid.z > 65535u) throw Fault("the grid is too large along an axis");
  body_ = thread;
  arguments_ = arguments;
  dynamic_bytes_ = launch.shared_bytes;
  cooperative_ = launch.cooperative;
  gridDim = grid;
  blockDim = block;
  sequence_.resize(count);
  std::iota(sequence_.begin(), sequence_.end(), 0u);
  if (order_ == Order::reverse) std::reverse(sequence_.begin(), sequence_.end());

  std::vector<std::size_t> order(std::size_t{grid.x} * grid.y * grid.z);
  if (cooperative_ && order.size() > resident_blocks) {
    throw Fault("a cooperative launch has " + std::to_string(order.size()) + " blocks; " +
                std::to_string(resident_blocks) + " run side by side");
  }
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (order_ == Order::reverse) std::reverse(order.begin(), order.end());
  if (order_ == Order::shuffled) std::shuffle(order.begin(), order.end(), random_);
  cooperative_ ? run_side_by_side(order) : run_one_by_one(order);
  if (fault_) std::rethrow_exception(std::exchange(fault_, nullptr));
}

std::size_t Scheduler::choose(std::size_t count) {
  read_order();
  if (order_ == Order::shuffled) return random_() % count;
  return order_ == Order::forward ? 0 : count - 1;
}

void Scheduler::begin_block(Block& block, std::size_t number) {
  const auto x = static_cast<unsigned>(number % gridDim.x);
  const auto y = static_cast<unsigned>(number / gridDim.x % gridDim.y);
  block.index = {x, y, static_cast<unsigned>(number / gridDim.x / gridDim.y)};
  block.threads.resize(sequence_.size());
  for (unsigned i = 0; i < block.threads.size(); ++i) {
    block.threads[i] = Thread{};
    block.threads[i].number = i;
    block.threads[i].index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
  }
}

void Scheduler::run_one_by_one(const std::vector<std::size_t>& order) {
  Block block;
  for (const std::size_t number : order) {
    begin_block(block, number);
    run_block(block);
    block.shared.clear();
    if (!fault_) continue;
    cancel(block);
    return;
  }
}

/// Blocks that may wait for each other: each runs as far as it can, until all wait or have ended.
void Scheduler::run_side_by_side(const std::vector<std::size_t>& order) {
  std::vector<Block> blocks(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) begin_block(blocks[i], order[i]);
  const auto ended = [](const Block& block) {
    return std::ranges::all_of(block.threads, [](const Thread& thread) { return thread.state == State::done; });
  };
  while (!fault_ && !std::ranges::all_of(blocks, ended)) {
    for (Block& block : blocks) {
      if (!fault_) run_block(block);
    }
    if (!fault_) open_grid_barrier(blocks);
  }
  for (Block& block : blocks) cancel(block);
}

/// Runs a block until its threads have ended or wait for the grid.
void Scheduler::run_block(Block& block) {
  block_ = &block;
  blockIdx = block.index;
  while (!fault_) {
    if (run_pass() || fault_) continue;
    const State first = block.threads.front().state;
    const bool alike =
        std::ranges::all_of(block.threads, [first](const Thread& thread) { return thread.state == first; });
    if (alike && (first == State::done || first == State::at_grid)) return;
    open_barrier();
  }
}

/// All blocks wait for the grid, which goes on, or have ended, or the kernel is wrong.
void Scheduler::open_grid_barrier(std::vector<Block>& blocks) {
  const Thread* waiting = nullptr;
  std::size_t arrived = 0;
  for (const Block& block : blocks) {
    const Thread& first = block.threads.front();
    if (first.state != State::at_grid) continue;
    ++arrived;
    for (const Thread& thread : block.threads) {
      if (waiting != nullptr && !same_place(waiting->where, thread.where)) {
        fault_ = std::make_exception_ptr(Fault("threads wait at different barriers of the grid, " +
                                               to_string(waiting->where) + " and " + to_string(thread.where)));
        return;
      }
      waiting = &thread;
    }
  }
  if (arrived != 0 && arrived != blocks.size()) {
    fault_ = std::make_exception_ptr(Fault("a barrier of the grid that only " + std::to_string(arrived) + " of " +
                                           std::to_string(blocks.size()) +
                                           " blocks reach (the others have returned) at " + to_string(waiting->where)));
    return;
  }
  for (Block& block : blocks) {
    for (Thread& thread : block.threads) {
      if (thread.state == State::at_grid) thread.state = State::ready;
    }
  }
}

/// Lets every thread that can run do so, once. False if there was none.
bool Scheduler::run_pass() {
  if (order_ == Order::shuffled) std::shuffle(sequence_.begin(), sequence_.end(), random_);
  bool progress = false;
  for (position_ = 0; position_ < sequence_.size() && !fault_; ++position_) {
    Thread& thread = block_->threads[sequence_[position_]];
    if (thread.state != State::fresh && thread.state != State::ready) continue;
    resume(thread);
    progress = true;
  }
  return progress;
}

/// Nobody can run: either all threads wait at one barrier, which opens, or the kernel is wrong.
void Scheduler::open_barrier() {
  const Thread* waiting = nullptr;
  bool answer = false;
  std::string what;
  std::vector<Thread>& threads = block_->threads;
  for (const Thread& thread : threads) {
    if (thread.state == State::at_warp) what = "a warp primitive that not all lanes of its mask reach";
    if (thread.state != State::at_barrier) continue;
    if (waiting != nullptr && !same_place(waiting->where, thread.where)) {
      what = "threads of a block wait at different barriers, " + to_string(thread.where) + " and";
    }
    waiting = &thread;
    answer = answer || thread.predicate;
  }
  const auto at_barrier = std::ranges::count(threads, State::at_barrier, &Thread::state);
  const auto at_grid = std::ranges::count(threads, State::at_grid, &Thread::state);
  if (what.empty() && at_barrier != static_cast<std::ptrdiff_t>(threads.size())) {
    const bool grid = at_barrier == 0;
    what = std::string("a barrier ") + (grid ? "of the grid " : "") + "that only " +
           std::to_string(grid ? at_grid : at_barrier) + " of " + std::to_string(threads.size()) +
           " threads of the block reach (the others " + (grid || at_grid == 0 ? "" : "wait for the grid or ") +
           "have returned)";
  }
  if (!what.empty()) {
    const auto stuck = std::ranges::find_if(threads, [](const Thread& thread) { return thread.state != State::done; });
    current_ = &*stuck;
    fault_ = std::make_exception_ptr(Fault("block " + to_string(blockIdx) + ", thread " + to_string(stuck->index) +
                                           ": " + what + " at " + to_string(stuck->where)));
    return;
  }
  for (Thread& thread : threads) {
    thread.state = State::ready;
    thread.predicate = answer;
  }
}

/// Unwinds the suspended threads of a failed launch, so that their fibers can be used again.
void Scheduler::cancel(Block& block) {
  block_ = &block;
  cancelling_ = true;
  for (Thread& thread : block.threads) {
    if (thread.fiber != nullptr) resume(thread);
  }
  cancelling_ = false;
}

void Scheduler::enter(Thread& thread) {
  current_ = &thread;
  threadIdx = thread.index;
}

void Scheduler::resume(Thread& thread) {
  if (thread.fiber == nullptr) {
    if (idle_.empty()) {
      fibers_.push_back(std::make_unique<Fiber>(&Scheduler::fiber_main, this));
      idle_.push_back(fibers_.back().get());
    }
    thread.fiber = idle_.back();
    idle_.pop_back();
  }
  enter(thread);
  Fiber::switch_from_to(host_, *thread.fiber);
}

void Scheduler::suspend() {
  Fiber::switch_from_to(*current_->fiber, host_);
  if (cancelling_) throw Cancelled{};
}

void Scheduler::call_thread() noexcept {
  try {
    body_(arguments_);
  } catch (const Cancelled&) {
    // The launch's own fault is already known.
  } catch (...) {
    if (!fault_) fault_ = std::current_exception();
  }
  current_->state = State::done;
}

/// The thread that follows in the pass, if it has not begun: it can take over the fiber of one that has ended.
Thread* Scheduler::next_in_pass() {
  if (fault_ || position_ + 1 >= sequence_.size()) return nullptr;
  Thread& next = block_->threads[sequence_[position_ + 1]];
  if (next.state != State::fresh) return nullptr;
  ++position_;
  return &next;
}

void Scheduler::fiber_main(void* scheduler) {
  auto& self = *static_cast<Scheduler*>(scheduler);
  while (true) {
    self.call_thread();
    Fiber* fiber = std::exchange(self.current_->fiber, nullptr);
    if (Thread* next = self.next_in_pass()) {
      next->fiber = fiber;
      self.enter(*next);
      continue;
    }
    self.idle_.push_back(fiber);
    Fiber::switch_from_to(*fiber, self.host_);
  }
}

bool Scheduler::synchronize_block(bool predicate, const std::source_location& where) {
  Thread& thread = *current_;
  thread.state = State::at_barrier;
  thread.where = where;
  thread.predicate = predicate;
  suspend();
  return thread.predicate;
}

void Scheduler::synchronize_grid(const std::source_location& where) {
  if (!cooperative_) fail("a barrier of the grid in a launch that is not cooperative", where);
  current_->state = State::at_grid;
  current_->where = where;
  suspend();
}

void Scheduler::synchronize_warp(WarpCall& call) {
  Thread& own = *current_;
  const unsigned first = own.number / 32 * 32;
  if ((call.mask >> (own.number - first) & 1u) == 0) {
    fail("a lane that calls a warp primitive is not in its mask", call.where);
  }
  own.state = State::at_warp;
  own.where = call.where;
  own.call = &call;
  const WarpCall* lanes[32] = {};
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((call.mask >> lane & 1u) == 0) continue;
    if (first + lane >= block_->threads.size())
      fail("the mask of a warp primitive names a lane beyond the block", call.where);
    const Thread& other = block_->threads[first + lane];
    if (other.state == State::done) fail("the mask of a warp primitive names a lane that has returned", call.where);
    if (other.state != State::at_warp) return suspend();
    if (other.call->mask != call.mask || !same_place(other.where, call.where)) {
      fail("lanes of a warp meet at different primitives, or with different masks", call.where);
    }
    lanes[lane] = other.call;
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (lanes[lane] == nullptr) continue;
    Thread& other = block_->threads[first + lane];
    other.call->resolve(*other.call, lanes);
    other.state = State::ready;
  }
  // Waiting for its own turn keeps the last lane to arrive from always being the first to go on.
  suspend();
}

void* Scheduler::dynamic_shared() {
  if (dynamic_bytes_ == 0) fail("dynamic shared memory is used, but the launch gives none", std::source_location());
  return block_->shared.get(this, dynamic_bytes_);
}

void Scheduler::fail(const std::string& what, const std::source_location& where) const {
  throw Fault("block " + to_string(blockIdx) + ", thread " + to_string(current_->index) + ": " + what + " at " +
              to_string(where));
}

/// Launches of several threads, and what they choose, take turns.
std::mutex turn;

/// One for the process: threadIdx and its kin are global, as they are in CUDA.
Scheduler& scheduler() {
  static Scheduler instance;
  return instance;
}

}  // namespace

void run(const Launch& launch, void (*thread)(const void*), const void* arguments) {
  const std::lock_guard lock(turn);
  const DeviceAccess access;
  scheduler().run(launch, thread, arguments);
}

std::size_t choose(std::size_t count) {
  if (count == 1) return 0;
  const std::lock_guard lock(turn);
  return scheduler().choose(count);
}

void synchronize_grid(const std::source_location& where) { scheduler().synchronize_grid(where); }

bool synchronize_block(bool predicate, const std::source_location& where) {
  return scheduler().synchronize_block(predicate, where);
}
void synchronize_warp(WarpCall& call) { scheduler().synchronize_warp(call); }
void* shared_memory(const void* key, std::size_t bytes) { return scheduler().shared(key, bytes); }
void* dynamic_shared_memory() { return scheduler().dynamic_shared(); }
unsigned lane_index() { return scheduler().current().number % 32; }
void fail(const char* what, const std::source_location& where) { scheduler().fail(what, where); }

}  // namespace emulation
