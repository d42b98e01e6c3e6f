// Gathers of images on the host, normalised and, if asked for, augmented.
#include <algorithm>
#include <cstring>

#include "kernels/augmented_image.hpp"
#include "kernels/backend/gather.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/row_prefetch.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"
#include "kernels/row_numbers.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gather_images.cpp"
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

/// Reverses the order of pixels.
class Reversal {
 public:
  explicit Reversal(std::int64_t channels) : channels_(channels), group_(lanes / channels) {
    for (std::int64_t i = 0; i < group_ * channels; ++i) {
      order_[i] = static_cast<std::uint8_t>(lanes - (i / channels + 1) * channels + i % channels);
    }
  }
  /// `to` is no part of `from`.
  void operator()(const std::uint8_t* from, std::uint8_t* to, std::int64_t width) const {
    std::int64_t x = 0;
#if HWY_TARGET != HWY_SCALAR
    namespace hn = hwy::HWY_NAMESPACE;
    const hn::FixedTag<std::uint8_t, lanes> d;
    const auto indices = hn::LoadU(d, order_);
    for (; group_ > 1 && (width - x) * channels_ >= lanes; x += group_) {
      const auto last = hn::LoadU(d, from + (width - x) * channels_ - lanes);
      hn::StoreU(hn::TableLookupBytes(last, indices), d, to + x * channels_);
    }
#endif
    for (; x < width; ++x) std::copy_n(from + (width - 1 - x) * channels_, channels_, to + x * channels_);
  }

 private:
  static constexpr std::int64_t lanes = 16;
  std::int64_t channels_;
  std::int64_t group_;  ///< pixels of a vector: its last ones; what else it has is overwritten by the next
  std::uint8_t order_[lanes] = {};
};

/// The pixels of the box, black where it reaches beyond the image.
void take_box(const AugmentedImage& drawn, const std::uint8_t* image, std::int64_t channels, std::uint8_t* to) {
  const std::int64_t row = drawn.width * channels;
  if (drawn.top != 0 || drawn.left != 0) std::memset(to, 0, static_cast<std::size_t>(drawn.height * row));
  // Columns of the result, before it is flipped, that lie in the image: [begin, end).
  const std::int64_t begin = std::max<std::int64_t>(0, -drawn.left);
  const std::int64_t end = std::min(drawn.width, drawn.width - drawn.left), width = end - begin;
  const std::int64_t first = drawn.flip ? drawn.width - end : begin;
  const Reversal reverse(channels);
  const std::int64_t last_row = std::min(drawn.height, drawn.height - drawn.top);
  for (std::int64_t y = std::max<std::int64_t>(0, -drawn.top); y < last_row; ++y) {
    const std::uint8_t* from = image + (drawn.top + y) * row + (drawn.left + begin) * channels;
    std::uint8_t* target = to + y * row + first * channels;
    if (drawn.flip) {
      reverse(from, target, width);
    } else {
      std::memcpy(target, from, static_cast<std::size_t>(width * channels));
    }
  }
}

/// The box, enlarged: each of its rows to the width, in parts of 2 * width, then these to the height.
void enlarge_box(const AugmentedImage& drawn, const std::uint8_t* image, std::int64_t channels, std::int32_t* wide,
                 std::uint8_t* to) {
  const std::int64_t row = drawn.width * channels, columns = 2 * drawn.width, rows = 2 * drawn.height;
  const std::uint8_t* box = image + drawn.top * row + drawn.left * channels;
  for (std::int64_t x = 0; x < drawn.width; ++x) {
    const std::int64_t right = AugmentedImage::place(x, drawn.box_width, drawn.width), left = right / columns;
    const auto beside = static_cast<std::int32_t>(right % columns), own = static_cast<std::int32_t>(columns) - beside;
    const std::int64_t step = beside > 0 ? channels : 0, at = (drawn.flip ? drawn.width - 1 - x : x) * channels;
    for (std::int64_t y = 0; y < drawn.box_height; ++y) {
      const std::uint8_t* from = box + y * row + left * channels;
      for (std::int64_t c = 0; c < channels; ++c) wide[y * row + at + c] = own * from[c] + beside * from[c + step];
    }
  }
  // Sums of whole numbers, exact; half a part keeps their quotients off the whole numbers that they are rounded down
  // to.
  const double parts = static_cast<double>(rows) * static_cast<double>(columns), share = 1 / parts;
  for (std::int64_t y = 0; y < drawn.height; ++y) {
    const std::int64_t down = AugmentedImage::place(y, drawn.box_height, drawn.height);
    const auto below = static_cast<double>(down % rows), own = static_cast<double>(rows) - below;
    const std::int32_t *upper = wide + down / rows * row, *lower = below > 0 ? upper + row : upper;
    std::uint8_t* target = to + y * row;
#pragma omp simd
    for (std::int64_t i = 0; i < row; ++i) {
      const double sum = own * static_cast<double>(upper[i]) + below * static_cast<double>(lower[i]);
      target[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>((sum + parts / 2 + 0.5) * share));
    }
  }
}

/// The augmented image, but for what is cut out; `wide` has place for one.
void augment_target(const AugmentedImage& drawn, const std::uint8_t* image, std::int64_t channels, std::int32_t* wide,
                    std::uint8_t* to) {
  if (drawn.enlarged()) {
    enlarge_box(drawn, image, channels, wide, to);
  } else {
    take_box(drawn, image, channels, to);
  }
  if (drawn.factor == AugmentedImage::whole_factor) return;
  const std::int64_t count = drawn.height * drawn.width * channels;
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) to[i] = AugmentedImage::brightened(to[i], drawn.factor);
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
HWY_EXPORT(augment_target);

/// The factors of normalisation, repeated: loops over the few channels are then long enough for vectors. A is float or
/// double, in which the scaled bytes are calculated.
template <typename A>
class Scaling {
 public:
  Scaling(const Device& device, ConstView scale, ConstView shift)
      : period_(period_of(scale.count())), scales_(device, period_), shifts_(device, period_) {
    for (std::int64_t i = 0; i < period_; ++i) {
      scales_[i] = scale.data_as<A>()[i % scale.count()];
      shifts_[i] = shift.data_as<A>()[i % shift.count()];
    }
  }
  void operator()(const std::uint8_t* image, View out, std::int64_t at, std::int64_t length) const {
    HWY_DYNAMIC_DISPATCH(scale_bytes_target)
    (image, scales_.data(), shifts_.data(), period_, out, at, length);
  }

 private:
  static std::int64_t period_of(std::int64_t channels) {
    constexpr std::int64_t wanted = 192;
    return channels * std::max<std::int64_t>(1, wanted / channels);
  }
  std::int64_t period_;
  Scratch<A> scales_, shifts_;
};

std::int64_t length_of_image(const View& out) { return out.extent(-3) * out.extent(-2) * out.extent(-1); }

/// Zeros in the square of the image that begins at byte `at` of what is written.
void cut_out(const AugmentedImage& drawn, std::int64_t channels, std::size_t element, std::byte* image) {
  const std::int64_t left = std::max<std::int64_t>(0, drawn.cut_left), right = std::min(drawn.width, drawn.cut_to);
  const auto width = static_cast<std::size_t>((right - left) * channels) * element;
  for (std::int64_t y = std::max<std::int64_t>(0, drawn.cut_top); y < std::min(drawn.height, drawn.cut_end); ++y) {
    std::memset(image + static_cast<std::size_t>((y * drawn.width + left) * channels) * element, 0, width);
  }
}

template <typename A, typename Numbers>
void gather_augmented(const Device& device, const std::uint8_t* table, const Numbers& number,
                      const AugmentationDraws& draws, ConstView scale, ConstView shift, View out) {
  const Scaling<A> scaling(device, scale, shift);
  const std::int64_t length = length_of_image(out), rows = out.count() / length, channels = out.extent(-1);
  const std::size_t element = size_of(out.dtype());
  auto* bytes = static_cast<std::byte*>(out.data());
  const int chunks = chunk_count(rows, grain_of(length));
  const Scratch<std::uint8_t> images(device, chunks * length);
  const Scratch<std::int32_t> wide(device, draws.augmentation.resized_crop > 0 ? chunks * length : 0);
  parallel_chunks(rows, chunks, [&](int chunk, std::int64_t begin, std::int64_t end) {
    std::uint8_t* own = images.data() + chunk * length;
    for (std::int64_t i = begin; i < end; ++i) {
      const AugmentedImage drawn = draws(i);
      const std::uint8_t* image = table + number(i) * length;
      if (!drawn.same()) {
        HWY_DYNAMIC_DISPATCH(augment_target)
        (drawn, image, channels, wide.begin() + (drawn.enlarged() ? chunk * length : 0), own);
      }
      scaling(drawn.same() ? image : own, out, i * length, length);
      cut_out(drawn, channels, element, bytes + static_cast<std::size_t>(i * length) * element);
    }
  });
}

}  // namespace

void gather_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift, View out,
                   ConstView counters) {
  functors::visit_floating(scale.dtype(), [&](auto zero) {
    with_row_numbers(rows, counters, out.extent(-4), [&](const auto& number) {
      const Scaling<decltype(zero)> scaling(device, scale, shift);
      const std::int64_t length = length_of_image(out);
      const RowPrefetch prefetch(table.data(), table.extent(0), length);
      parallel_ranges(out.count() / length, grain_of(length), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          if ((i - begin) % prefetch.together() == 0) prefetch.before(number, begin, i, end);
          scaling(table.data_as<std::uint8_t>() + number(i) * length, out, i * length, length);
        }
      });
    });
  });
}

void gather_augmented_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift,
                             const ImageAugmentation& augmentation, std::uint64_t name, ConstView counters, View out) {
  const AugmentationDraws draws = draws_of(augmentation, name, counters, out);
  functors::visit_floating(scale.dtype(), [&](auto zero) {
    with_row_numbers(rows, counters, draws.count, [&](const auto& number) {
      gather_augmented<decltype(zero)>(device, table.data_as<std::uint8_t>(), number, draws, scale, shift, out);
    });
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE
