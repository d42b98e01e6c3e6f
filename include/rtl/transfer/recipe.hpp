// A strategy's recipe is a coroutine: it reads as the fit of one seed, from top to bottom, and `co_await`s each
// training, so that the trainings of several seeds, folds or members can be made at once, as replicas of one plan.
#pragma once

#include <coroutine>
#include <exception>
#include <memory>
#include <utility>

#include "rtl/transfer/predictor.hpp"

namespace rtl::transfer {

/// What a recipe returns: `co_return` a predictor. It begins when it is awaited, by a fit or by another recipe, which
/// gets the predictor. Parameters of a recipe are copied or must outlive it. (g++ 12 refuses lists in braces within an
/// expression that is awaited: name them before.) Moves only.
class [[nodiscard]] Recipe {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(Handle handle) const noexcept;
    void await_resume() const noexcept {}
  };
  struct promise_type {
    std::unique_ptr<Predictor> predictor;
    std::exception_ptr failure;
    std::coroutine_handle<> caller;  ///< that goes on afterwards

    Recipe get_return_object() { return Recipe(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    FinalAwaiter final_suspend() const noexcept { return {}; }
    void return_value(std::unique_ptr<Predictor> made) { predictor = std::move(made); }
    void unhandled_exception() { failure = std::current_exception(); }
  };

  explicit Recipe(Handle handle) : handle_(handle) {}
  Recipe(Recipe&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Recipe& operator=(Recipe&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Recipe() {
    if (handle_) handle_.destroy();
  }

  /// Runs until it awaits a training or ends.
  void start() const { handle_.resume(); }
  bool done() const { return handle_.done(); }
  /// Of a recipe that is done: its predictor. Throws what the recipe threw.
  std::unique_ptr<Predictor> take() const;

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) const noexcept {
    handle_.promise().caller = caller;
    return handle_;
  }
  std::unique_ptr<Predictor> await_resume() const { return take(); }

 private:
  Handle handle_;
};

inline std::coroutine_handle<> Recipe::FinalAwaiter::await_suspend(Handle handle) const noexcept {
  return handle.promise().caller ? handle.promise().caller : std::noop_coroutine();
}

inline std::unique_ptr<Predictor> Recipe::take() const {
  if (handle_.promise().failure) std::rethrow_exception(handle_.promise().failure);
  return std::move(handle_.promise().predictor);
}

}  // namespace rtl::transfer
