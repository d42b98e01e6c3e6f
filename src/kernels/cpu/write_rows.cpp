#include "kernels/cpu/write_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/onednn.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/write_rows.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/bfloat16-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE auto load(D d, const std::uint8_t* from) {
  const hn::Rebind<std::uint8_t, D> byte;
  const hn::RebindToSigned<D> whole;
  return hn::ConvertTo(d, hn::PromoteTo(whole, hn::LoadU(byte, from)));
}

template <class D>
HWY_INLINE auto load(D d, const float16* from) {
  const hn::Rebind<hwy::float16_t, D> half;
  return hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(from)));
}

template <class D, class V>
HWY_INLINE void store(V value, D d, double* to) {
  HWY_ALIGN float piece[HWY_LANES(float)];
  hn::Store(value, d, piece);
  for (std::size_t k = 0; k < hn::Lanes(d); ++k) to[k] = static_cast<double>(piece[k]);
}

template <class D, class V>
HWY_INLINE void store_fast(V value, D d, double* to, bool /*native*/) {
  store(value, d, to);
}

struct Unchanged {
  template <class D, class V>
  HWY_INLINE V operator()(D /*d*/, V x, std::int64_t /*i*/) const {
    return x;
  }
};

/// What the transform makes of elements i, i + 1, ..
template <bool clips>
struct Changed {
  RowTransform own;

  template <class D, class V>
  HWY_INLINE V operator()(D d, V x, std::int64_t i) const {
    const V shifted = hn::Sub(x, hn::LoadU(d, own.shift + i));
    const V value = hn::MulAdd(shifted, hn::LoadU(d, own.factor + i), hn::LoadU(d, own.offset + i));
    if constexpr (!clips) return value;
    const V most = hn::Set(d, own.bound), least = hn::Set(d, -own.bound);
    // What is not a number is neither above nor below.
    const V below = hn::IfThenElse(hn::Gt(value, most), most, value);
    return hn::IfThenElse(hn::Lt(below, least), least, below);
  }
};

/// `native` as store_fast has it.
template <typename From, typename To, typename Change>
void write_row(const From* x, const From* next, const Change& change, To* y, std::int64_t length, bool native) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= length; i += lanes) {
    if (next != nullptr) __builtin_prefetch(next + i);
    store_fast(change(d, load(d, x + i), i), d, y + i, native);
  }
  const hn::CappedTag<float, 1> one;
  for (; i < length; ++i) {
    const float value = hn::GetLane(change(one, hn::Set(one, functors::convert<float>(x[i])), i));
    y[i] = functors::convert<To>(value);
  }
}

/// Rows that are fetched ahead go in short steps: a loop that asks for lines faster than memory has them ready waits
/// for those that it reads.
void copy_row(const std::uint8_t* x, const std::uint8_t* next, std::uint8_t* y, std::int64_t bytes) {
  constexpr std::int64_t line = 64, step = 16;
  const hn::CappedTag<std::uint8_t, step> d;
  std::int64_t i = 0;
  for (; next != nullptr && HWY_MAX_BYTES >= step && i + line <= bytes; i += line) {
    __builtin_prefetch(next + i);
    for (std::int64_t k = i; k < i + line; k += step) hn::StoreU(hn::LoadU(d, x + k), d, y + k);
  }
  if (next != nullptr && i < bytes) __builtin_prefetch(next + i);
  if (i < bytes) std::memcpy(y + i, x + i, static_cast<std::size_t>(bytes - i));
}

/// `row` writes one that is there.
template <typename From, typename To, typename Row>
void write_each(std::span<const void* const> x, std::span<const void* const> next, To* y, std::int64_t length,
                const Row& row) {
  for (std::size_t r = 0; r < x.size(); ++r, y += length) {
    if (x[r] == nullptr) {
      std::fill_n(y, length, To());
    } else {
      row(static_cast<const From*>(x[r]), static_cast<const From*>(next[r]), y);
    }
  }
}

template <typename Change>
void write_changed(DType from, std::span<const void* const> x, std::span<const void* const> next, const Change& change,
                   DType to, void* y, std::int64_t length, bool native) {
  functors::visit_features(from, [&](auto stored) {
    functors::visit_activations(to, [&](auto wanted) {
      using From = decltype(stored);
      using To = decltype(wanted);
      write_each<From>(x, next, static_cast<To*>(y), length, [&](const From* own, const From* later, To* row) {
        write_row(own, later, change, row, length, native);
      });
    });
  });
}

void write_target(DType from, std::span<const void* const> x, std::span<const void* const> next,
                  const RowTransform* transform, DType to, void* y, std::int64_t length, bool native) {
  if (transform != nullptr) {
    // Of f32, which has the most lines, the longer loop is the faster one, as above.
    if (std::isinf(transform->bound) && from != DType::f32) {
      write_changed(from, x, next, Changed<false>{*transform}, to, y, length, native);
    } else {
      write_changed(from, x, next, Changed<true>{*transform}, to, y, length, native);
    }
  } else if (from != to) {
    write_changed(from, x, next, Unchanged(), to, y, length, native);
  } else {
    const std::int64_t bytes = length * static_cast<std::int64_t>(size_of(from));
    using Byte = std::uint8_t;
    write_each<Byte>(x, next, static_cast<Byte*>(y), bytes,
                     [&](const Byte* own, const Byte* later, Byte* row) { copy_row(own, later, row, bytes); });
  }
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(write_target);

}  // namespace

bool writes_rows(DType from, DType to) {
  const bool features = from == DType::f32 || from == DType::bf16 || from == DType::f16 || from == DType::u8;
  return from == to || (features && (to == DType::f32 || to == DType::f64 || to == DType::bf16));
}

void write_rows(DType from, std::span<const void* const> x, std::span<const void* const> next,
                const RowTransform* transform, DType to, void* y, std::int64_t length) {
  HWY_DYNAMIC_DISPATCH(write_target)(from, x, next, transform, to, y, length, multiplies_bf16());
}

}  // namespace rtl::kernels::cpu
#endif
