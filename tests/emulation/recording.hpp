// The work of a capture as a graph: what each piece has to wait for, and replays in the orders that this allows.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace emulation {

class Recording {
 public:
  using Nodes = std::vector<std::size_t>;

  /// The number of a piece of work that was queued in the capture's stream `stream`, counted from the first on, and
  /// waits for those of `behind` and what they wait for.
  std::size_t add(std::size_t stream, std::function<void()> work, Nodes behind);
  std::size_t size() const { return nodes_.size(); }
  /// Whether each of `nodes` is one of `ends` or waited for by one of them.
  bool are_behind(const Nodes& ends, const Nodes& nodes) const;
  /// Calls all work, each behind what it waits for, else in the order of RTL_EMULATION_ORDER: what is in other streams
  /// than the first as late as CUDA may do it (forward), as early as it may (reverse), or at any time (shuffled).
  void run() const;

 private:
  struct Node {
    std::size_t stream;
    std::function<void()> work;
    Nodes behind;
  };
  std::vector<Node> nodes_;
};

}  // namespace emulation
