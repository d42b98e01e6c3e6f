// Memory between guard bytes: a kernel that writes past its output is found by the guards, one that reads or writes
// past a buffer in host memory also by AddressSanitizer.
#pragma once

#include <cstring>
#include <string_view>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "support/random.hpp"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace rtl::test {

/// Value of one stored element.
inline long double decode(const std::byte* bytes, DType dtype) {
  const auto load = [bytes](auto value) {
    std::memcpy(&value, bytes, sizeof value);
    return value;
  };
  switch (dtype) {
    case DType::f32:
      return load(float());
    case DType::f64:
      return load(double());
    case DType::bf16:
      return to_float(load(bfloat16()));
    case DType::f16:
      return to_float(load(float16()));
    case DType::i32:
      return load(std::int32_t());
    case DType::i64:
      return load(std::int64_t());
    case DType::u8:
      return load(std::uint8_t());
  }
  return 0;
}

inline void encode(long double value, DType dtype, std::byte* bytes) {
  const auto store = [bytes](auto element) { std::memcpy(bytes, &element, sizeof element); };
  switch (dtype) {
    case DType::f32:
      return store(static_cast<float>(value));
    case DType::f64:
      return store(static_cast<double>(value));
    case DType::bf16:
      return store(to_bfloat16(static_cast<float>(value)));
    case DType::f16:
      return store(to_float16(static_cast<float>(value)));
    case DType::i32:
      return store(static_cast<std::int32_t>(value));
    case DType::i64:
      return store(static_cast<std::int64_t>(value));
    case DType::u8:
      return store(static_cast<std::uint8_t>(value));
  }
}

class Guarded {
 public:
  /// Filled with bytes that read as NaN (or -1). `skew` elements lie between an aligned address and the data.
  Guarded(const Shape& shape, DType dtype, const Device& device, std::int64_t skew = 0)
      : shape_(shape),
        dtype_(dtype),
        device_(device),
        begin_(guard_ + static_cast<std::size_t>(skew) * size_of(dtype)) {
    std::vector<std::uint8_t> image(begin_ + bytes() + guard_, guard_byte);
    std::memset(image.data() + begin_, 0xff, bytes());
    storage_ = Tensor::from(image, {static_cast<std::int64_t>(image.size())}, device);
    protect(true);
  }
  Guarded(Guarded&& other) noexcept = default;
  ~Guarded() {
    if (storage_.defined()) protect(false);
  }

  View view() { return {storage_.data_as<std::uint8_t>() + begin_, dtype_, shape_, device_}; }

  void write(const Reals& values) {
    std::vector<std::byte> image(bytes());
    for (std::size_t i = 0; i < values.size(); ++i) encode(values[i], dtype_, image.data() + i * size_of(dtype_));
    device_.context().copy(view().data(), image.data(), image.size(), detail::CopyKind::from_host);
  }

  std::vector<std::byte> raw() {
    std::vector<std::byte> image(bytes());
    device_.context().copy(image.data(), view().data(), image.size(), detail::CopyKind::to_host);
    device_.synchronize();
    return image;
  }

  Reals read() {
    const std::vector<std::byte> image = raw();
    Reals values(static_cast<std::size_t>(shape_.count()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = decode(image.data() + i * size_of(dtype_), dtype_);
    return values;
  }

  /// True if no guard byte has changed.
  bool intact() {
    protect(false);
    const std::vector<std::uint8_t> image = storage_.to_vector<std::uint8_t>();
    protect(true);
    for (std::size_t i = 0; i < image.size(); ++i) {
      const bool inside = i >= begin_ && i < begin_ + bytes();
      if (!inside && image[i] != guard_byte) return false;
    }
    return true;
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }

 private:
  static constexpr std::size_t guard_ = 256;
  static constexpr std::uint8_t guard_byte = 0xa5;

  std::size_t bytes() const { return static_cast<std::size_t>(shape_.count()) * size_of(dtype_); }

  void protect([[maybe_unused]] bool on) {
#if defined(__SANITIZE_ADDRESS__)
    if (device_.is_cuda() && std::string_view(RTL_CUDA_MODE) != "EMULATED") return;
    std::uint8_t* data = storage_.data_as<std::uint8_t>();
    if (on) {
      ASAN_POISON_MEMORY_REGION(data, begin_);
      ASAN_POISON_MEMORY_REGION(data + begin_ + bytes(), guard_);
    } else {
      ASAN_UNPOISON_MEMORY_REGION(data, storage_.bytes());
    }
#endif
  }

  Shape shape_;
  DType dtype_;
  Device device_;
  std::size_t begin_;
  Tensor storage_;
};

}  // namespace rtl::test
