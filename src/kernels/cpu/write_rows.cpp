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
  explicit Unchanged(const RowWriter& /*writer*/) {}
  template <class D, class V>
  HWY_INLINE V operator()(D /*d*/, V x, std::int64_t /*i*/) const {
    return x;
  }
};

/// What the transform makes of elements i, i + 1, ..
template <bool clips>
struct Changed {
  explicit Changed(const RowWriter& writer) : own(*writer.transform) {}
  RowTransform own;

  template <class D, class V>
  HWY_INLINE V operator()(D d, V x, std::int64_t i) const {
    const V shifted = hn::Sub(x, hn::LoadU(d, own.shift + i));
    const V value = hn::MulAdd(shifted, hn::LoadU(d, own.factor + i), hn::LoadU(d, own.offset + i));
    if constexpr (!clips) return value;
    // In this order what is not a number stays.
    return hn::Max(hn::Set(d, -own.bound), hn::Min(hn::Set(d, own.bound), value));
  }
};

/// `native` as store_fast has it. `next` is the row that is read next, or null. `change` is a copy, which no store to y
/// can alter.
template <typename From, typename To, typename Change>
void write_row(const From* x, const From* next, Change change, To* y, std::int64_t length, bool native) {
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

using Rows = std::span<const void* const>;
using Write = void (*)(const RowWriter&, Rows, const void*, void*);

/// `row` writes one that is there.
template <typename From, typename To, typename Row>
void write_each(Rows rows, const void* behind, To* y, std::int64_t length, const Row& row) {
  for (std::size_t r = 0; r < rows.size(); ++r, y += length) {
    if (rows[r] == nullptr) {
      std::fill_n(y, length, To());
    } else {
      row(static_cast<const From*>(rows[r]), static_cast<const From*>(r + 1 < rows.size() ? rows[r + 1] : behind), y);
    }
  }
}

void copy_rows(const RowWriter& writer, Rows rows, const void* behind, void* y) {
  using Byte = std::uint8_t;
  const std::int64_t bytes = writer.length * static_cast<std::int64_t>(size_of(writer.from));
  write_each<Byte>(rows, behind, static_cast<Byte*>(y), bytes, [&](const Byte* own, const Byte* /*next*/, Byte* row) {
    std::memcpy(row, own, static_cast<std::size_t>(bytes));
  });
}

template <typename From, typename To, typename Change>
void write_changed(const RowWriter& writer, Rows rows, const void* behind, void* y) {
  write_each<From>(rows, behind, static_cast<To*>(y), writer.length, [&](const From* own, const From* next, To* row) {
    write_row(own, next, Change(writer), row, writer.length, writer.native_bfloat16);
  });
}

template <typename Change>
Write converting(DType from, DType to) {
  Write write = nullptr;
  functors::visit_features(from, [&](auto stored) {
    functors::visit_activations(
        to, [&](auto wanted) { write = write_changed<decltype(stored), decltype(wanted), Change>; });
  });
  return write;
}

Write write_target(const RowWriter& writer) {
  if (writer.transform != nullptr) {
    return std::isinf(writer.transform->bound) ? converting<Changed<false>>(writer.from, writer.to)
                                               : converting<Changed<true>>(writer.from, writer.to);
  }
  return writer.from == writer.to ? copy_rows : converting<Unchanged>(writer.from, writer.to);
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

RowWriter::RowWriter(DType from, const RowTransform* transform, DType to, std::int64_t length)
    : from(from),
      to(to),
      transform(transform),
      length(length),
      native_bfloat16(multiplies_bf16()),
      write_(HWY_DYNAMIC_DISPATCH(write_target)(*this)) {}

}  // namespace rtl::kernels::cpu
#endif
