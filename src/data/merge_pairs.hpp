// Byte-pair encoding's loop: the best of all neighbouring pairs becomes one token, until no pair can.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <tuple>
#include <vector>

namespace rtl::data {

struct Merge {
  double order = 0;  ///< smaller ones come first, of equals the leftmost
  std::int32_t token = 0;
};

/// Merges neighbours in `tokens`, of which `find(left, right)` says what they become, if anything. O(n log n).
/// Sennrich, Haddow and Birch 2016.
template <typename Find>
void merge_pairs(std::vector<std::int32_t>& tokens, const Find& find) {
  struct Candidate {
    double order;
    std::size_t left, right;
    std::int32_t left_token, right_token, token;
    bool operator>(const Candidate& other) const { return std::tie(order, left) > std::tie(other.order, other.left); }
  };
  constexpr std::int32_t gone = -1;
  const std::size_t count = tokens.size();
  std::vector<std::size_t> next(count), previous(count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto propose = [&](std::size_t left, std::size_t right) {
    const std::optional<Merge> merge = find(tokens[left], tokens[right]);
    if (merge) queue.push({merge->order, left, right, tokens[left], tokens[right], merge->token});
  };
  for (std::size_t i = 0; i < count; ++i) {
    next[i] = i + 1;
    previous[i] = i;  // of the first: itself
    if (i > 0) previous[i] = i - 1;
  }
  for (std::size_t i = 0; i + 1 < count; ++i) propose(i, i + 1);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    if (tokens[best.left] != best.left_token || tokens[best.right] != best.right_token) continue;
    if (next[best.left] != best.right) continue;
    tokens[best.left] = best.token;
    tokens[best.right] = gone;
    next[best.left] = next[best.right];
    if (next[best.left] < count) {
      previous[next[best.left]] = best.left;
      propose(best.left, next[best.left]);
    }
    if (best.left > 0 && previous[best.left] != best.left) propose(previous[best.left], best.left);
  }
  std::erase(tokens, gone);
}

}  // namespace rtl::data
