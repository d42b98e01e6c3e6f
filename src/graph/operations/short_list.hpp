// Lists that runs make without allocating.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace rtl::graph {

/// `count` default values of T, in the object itself unless they are many.
template <typename T, std::size_t few = 16>
class ShortList {
 public:
  explicit ShortList(std::size_t count) : count_(count) {
    if (count > few) many_.resize(count);
  }
  T& operator[](std::size_t i) { return count_ > few ? many_[i] : few_[i]; }
  std::span<const T> span() const { return {count_ > few ? many_.data() : few_.data(), count_}; }

 private:
  std::size_t count_;
  std::array<T, few> few_{};
  std::vector<T> many_;
};

}  // namespace rtl::graph
