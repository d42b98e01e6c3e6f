// Row gathers on the host.
#include <algorithm>
#include <cstring>

#include "kernels/backend/gather.hpp"
#include "kernels/cpu/cast.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"
#include "kernels/row_numbers.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gather.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/bfloat16-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {

/// to[i] = from[i] * scale[i % period] + shift[i % period].
template <typename T>
void scale_bytes(const std::uint8_t* from, const T* scale, const T* shift, std::int64_t period, T* to,
                 std::int64_t count) {
  for (std::int64_t at = 0; at < count; at += period) {
    const std::int64_t length = at + period < count ? period : count - at;
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) to[at + i] = static_cast<T>(from[at + i]) * scale[i] + shift[i];
  }
}

/// The same, rounded to bf16: by pieces in f32.
void scale_bytes(const std::uint8_t* from, const float* scale, const float* shift, std::int64_t period, bfloat16* to,
                 std::int64_t count) {
  constexpr std::int64_t most = 256;
  float piece[most];
  for (std::int64_t at = 0; at < count; at += period) {
    const std::int64_t length = std::min(period, count - at);
    for (std::int64_t i = 0; i < length; i += most) {
      const std::int64_t width = std::min(most, length - i);
      scale_bytes(from + at + i, scale + i, shift + i, width, piece, width);
      narrow(piece, to + at + i, width);
    }
  }
}

/// Element `at` of `to` is the first; scale and shift are of the dtype of its parameters.
void scale_bytes_target(const std::uint8_t* from, const void* scale, const void* shift, std::int64_t period, View to,
                        std::int64_t at, std::int64_t count) {
  functors::visit_activations(to.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    scale_bytes(from, static_cast<const A*>(scale), static_cast<const A*>(shift), period, to.data_as<T>() + at, count);
  });
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(scale_bytes_target);

/// Asks for rows before they are read: rows of a batch lie anywhere in a table, and what a processor fetches on its own
/// is what follows. Without it an epoch over a table beyond the caches runs at less than half of the speed of a copy.
class RowPrefetch {
 public:
  RowPrefetch(const void* table, std::int64_t rows, std::int64_t row_bytes)
      : table_(static_cast<const std::byte*>(table)),
        rows_(rows),
        row_bytes_(row_bytes),
        fetched_(rows * row_bytes < cached ? 0 : std::min(row_bytes, most)),
        ahead_(std::clamp<std::int64_t>(distance / std::max<std::int64_t>(1, row_bytes), 1, 16)) {}

  /// Row i of `number`'s is about to be read, of `end` rows in all.
  // Not inlined, a function that only prefetches is taken for one without effect.
  template <typename Numbers>
  [[gnu::always_inline]] void before(const Numbers& number, std::int64_t i, std::int64_t end) const {
    if (fetched_ == 0 || i + ahead_ >= end) return;
    const std::int64_t row = number(i + ahead_);
    if (row < 0 || row >= rows_) return;
    const std::byte* const from = table_ + row * row_bytes_;
    for (std::int64_t at = 0; at < fetched_; at += line) __builtin_prefetch(from + at);
  }

 private:
  static constexpr std::int64_t line = 64, distance = 4096, most = 4096, cached = std::int64_t{8} << 20;

  const std::byte* table_;
  std::int64_t rows_, row_bytes_, fetched_, ahead_;
};

/// A is float or double, in which the scaled bytes are calculated.
template <typename A, typename Numbers>
void gather_scaled(const Device& device, const std::uint8_t* table, std::int64_t all, const Numbers& number,
                   ConstView scale, ConstView shift, View out) {
  // Repeating the few channels' factors makes loops long enough for vectors.
  constexpr std::int64_t wanted = 192;
  const std::int64_t channels = out.extent(-1), period = channels * std::max<std::int64_t>(1, wanted / channels);
  const Scratch<A> scales(device, period), shifts(device, period);
  for (std::int64_t i = 0; i < period; ++i) {
    scales[i] = scale.data_as<A>()[i % channels];
    shifts[i] = shift.data_as<A>()[i % channels];
  }
  const std::int64_t length = out.extent(-3) * out.extent(-2) * channels, rows = out.count() / length;
  const RowPrefetch prefetch(table, all, length);
  parallel_ranges(rows, grain_of(length), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      prefetch.before(number, i, end);
      HWY_DYNAMIC_DISPATCH(scale_bytes_target)
      (table + number(i) * length, scales.data(), shifts.data(), period, out, i * length, length);
    }
  });
}

}  // namespace

void gather_rows(const Device&, ConstView table, ConstView rows, View out, ConstView counters) {
  const std::int64_t length = table.count() / table.extent(0), count = out.count() / length;
  const auto element = static_cast<std::int64_t>(size_of(table.dtype()));
  const auto* from = static_cast<const std::byte*>(table.data());
  auto* to = static_cast<std::byte*>(out.data());
  const auto out_element = static_cast<std::int64_t>(size_of(out.dtype()));
  const bool same = table.dtype() == out.dtype();
  const RowPrefetch prefetch(from, table.extent(0), length * element);
  with_row_numbers(rows, counters, out.extent(out.rank() - table.rank()), [&](const auto& number) {
    parallel_ranges(count, grain_of(length), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        prefetch.before(number, i, end);
        const std::int64_t chosen = number(i);
        const std::byte* row = from + chosen * length * element;
        if (chosen < 0 || chosen >= table.extent(0)) {
          std::memset(to + i * length * out_element, 0, static_cast<std::size_t>(length * out_element));
        } else if (same) {
          std::memcpy(to + i * length * element, row, static_cast<std::size_t>(length * element));
        } else {
          convert_elements(table.dtype(), row, out.dtype(), to + i * length * out_element, length);
        }
      }
    });
  });
}

void gather_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift, View out,
                   ConstView counters) {
  functors::visit_floating(scale.dtype(), [&](auto zero) {
    with_row_numbers(rows, counters, out.extent(-4), [&](const auto& number) {
      gather_scaled<decltype(zero)>(device, table.data_as<std::uint8_t>(), table.extent(0), number, scale, shift, out);
    });
  });
}

void scatter_add_rows(const Device&, ConstView values, ConstView rows, View table) {
  functors::visit_floating(table.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t count = rows.count(), length = values.count() / count;
    const T* from = values.data_as<T>();
    T* to = table.data_as<T>();
    const int chunks = chunk_count(table.extent(0), grain_of(length));
    // Each thread owns a range of the table's rows, so every row's additions keep the order of `rows`.
    with_row_numbers(rows, {}, count, [&](const auto& number) {
      parallel_chunks(table.extent(0), chunks, [&](int, std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = 0; i < count; ++i) {
          const std::int64_t row = number(i);
          if (row < begin || row >= end) continue;
#pragma omp simd
          for (std::int64_t c = 0; c < length; ++c) to[row * length + c] += from[i * length + c];
        }
      });
    });
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE
