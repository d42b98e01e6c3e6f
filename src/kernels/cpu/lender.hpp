// What a host context keeps between calls (workspaces, primitives with their scratch memory), lent to one call at a
// time.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "rtl/core/device.hpp"

namespace rtl::kernels::cpu {

/// A resource of a context: objects T(context), as many as there were calls at once. The last returned is lent first,
/// so one thread always works with the same one.
template <typename T>
class Lender {
 public:
  explicit Lender(detail::Context& context) : context_(context) {}

  /// One object for the length of a call.
  class Loan {
   public:
    Loan(Lender& lender, std::unique_ptr<T> object) : lender_(lender), object_(std::move(object)) {}
    ~Loan() {
      const std::lock_guard lock(lender_.mutex_);
      lender_.idle_.push_back(std::move(object_));
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    T* operator->() const { return object_.get(); }

   private:
    Lender& lender_;
    std::unique_ptr<T> object_;
  };

  static Loan lend(const Device& device) { return device.context().resource<Lender>().lend(); }

 private:
  Loan lend() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<T> object = std::move(idle_.back());
        idle_.pop_back();
        return Loan(*this, std::move(object));
      }
      idle_.reserve(++made_);  // so that returning one cannot throw
    }
    return Loan(*this, std::make_unique<T>(context_));
  }

  detail::Context& context_;
  std::mutex mutex_;
  std::size_t made_ = 0;
  std::vector<std::unique_ptr<T>> idle_;
};

}  // namespace rtl::kernels::cpu
