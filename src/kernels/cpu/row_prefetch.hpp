// What the host's gathers ask of a table ahead.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace rtl::kernels::cpu {

/// Asks for rows before they are read: rows of a batch lie anywhere in a table, and what a processor fetches on its own
/// is what follows. They are asked for a page at a time, some pages ahead, into the second-level cache, which has more
/// lines on their way than the first; docs/benchmarks.md has what other orders cost.
class RowPrefetch {
 public:
  static constexpr std::int64_t most_together = 64;

  RowPrefetch(const void* table, std::int64_t rows, std::int64_t row_bytes)
      : table_(static_cast<const std::byte*>(table)),
        rows_(rows),
        row_bytes_(row_bytes),
        fetched_(rows * row_bytes < cached ? 0
                 : row_bytes <= page       ? row_bytes
                                           : page / 2),
        together_(fetched_ == 0 ? most_together : std::clamp<std::int64_t>(page / row_bytes, 1, most_together)),
        ahead_(fetched_ == 0 ? 0 : std::max<std::int64_t>(1, distance / row_bytes)) {}

  /// How many rows are read between two calls of `before`.
  std::int64_t together() const { return together_; }

  /// `number`'s rows from `first` on are about to be read, of those from `begin` to `end`.
  // Not inlined, a function that only prefetches is taken for one without effect.
  template <typename Numbers>
  [[gnu::always_inline]] void before(const Numbers& number, std::int64_t begin, std::int64_t first,
                                     std::int64_t end) const {
    if (fetched_ == 0) return;
    const std::int64_t last = std::min(end, first + ahead_ + together_);
    for (std::int64_t i = first == begin ? begin : first + ahead_; i < last; ++i) {
      const std::int64_t row = number(i);
      if (row < 0 || row >= rows_) continue;
      const std::byte* const from = table_ + row * row_bytes_;
      for (std::int64_t at = 0; at < fetched_; at += line) __builtin_prefetch(from + at, 0, second_level);
    }
  }

 private:
  static constexpr int second_level = 2;
  static constexpr std::int64_t line = 64, page = 4096, distance = 32768, cached = std::int64_t{1} << 20;

  const std::byte* table_;
  std::int64_t rows_, row_bytes_, fetched_, together_, ahead_;
};

}  // namespace rtl::kernels::cpu
