#include "recording.hpp"

#include <algorithm>
#include <utility>

#include "emulation/scheduler.hpp"

namespace emulation {

std::size_t Recording::add(std::size_t stream, std::function<void()> work, Nodes behind) {
  nodes_.push_back({stream, std::move(work), std::move(behind)});
  return nodes_.size() - 1;
}

bool Recording::are_behind(const Nodes& ends, const Nodes& nodes) const {
  std::vector<bool> reached(nodes_.size());
  for (const std::size_t end : ends) reached[end] = true;
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    if (!reached[i]) continue;
    for (const std::size_t before : nodes_[i].behind) reached[before] = true;
  }
  return std::ranges::all_of(nodes, [&](std::size_t node) { return reached[node]; });
}

void Recording::run() const {
  std::vector<std::size_t> missing(nodes_.size());
  std::vector<Nodes> followers(nodes_.size());
  Nodes ready;  // by stream, then as they were queued
  const auto before = [&](std::size_t a, std::size_t b) {
    return std::pair(nodes_[a].stream, a) < std::pair(nodes_[b].stream, b);
  };
  const auto make_ready = [&](std::size_t node) { ready.insert(std::ranges::upper_bound(ready, node, before), node); };
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    missing[i] = nodes_[i].behind.size();
    for (const std::size_t earlier : nodes_[i].behind) followers[earlier].push_back(i);
    if (missing[i] == 0) make_ready(i);
  }
  while (!ready.empty()) {
    const auto chosen = ready.begin() + static_cast<std::ptrdiff_t>(choose(ready.size()));
    const std::size_t node = *chosen;
    ready.erase(chosen);
    nodes_[node].work();
    for (const std::size_t follower : followers[node]) {
      if (--missing[follower] == 0) make_ready(follower);
    }
  }
}

}  // namespace emulation
