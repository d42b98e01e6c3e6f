// Files written by NumPy and by the safetensors package (tests/golden/files).
#include <gtest/gtest.h>

#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/io/safetensors.hpp"
#include "support/devices.hpp"
#include "support/golden.hpp"

namespace rtl::io {
namespace {

/// 0 .. 23, times `factor`, plus `first`.
template <typename T>
std::vector<T> numbers(double factor = 1, double first = 0) {
  std::vector<T> values(24);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(static_cast<double>(i) * factor + first);
  return values;
}

Tensor read(const std::string& name, const Device& device) {
  return read_npy(test::golden_file("files/" + name), device);
}

TEST(GoldenFiles, Npy) {
  for (const Device& device : test::devices()) {
    const Tensor rows = read("f32_rows.npy", device);
    EXPECT_EQ(rows.shape(), (Shape{2, 3, 4}));
    EXPECT_EQ(rows.to_vector<float>(), numbers<float>(0.125, -1));
    const Tensor columns = read("f64_columns.npy", device);
    EXPECT_EQ(columns.shape(), (Shape{4, 6}));
    std::vector<double> tenths(24);
    for (std::size_t i = 0; i < tenths.size(); ++i) tenths[i] = static_cast<double>(i) / 10;
    EXPECT_EQ(columns.to_vector<double>(), tenths);
    EXPECT_EQ(read("i32.npy", device).to_vector<std::int32_t>(), numbers<std::int32_t>(1, -5));
    const Tensor bytes = read("u8.npy", device);
    EXPECT_EQ(bytes.shape(), (Shape{24, 1}));
    EXPECT_EQ(bytes.to_vector<std::uint8_t>(), numbers<std::uint8_t>(10));
  }
}

TEST(GoldenFiles, Npz) {
  const Device device = Device::cpu();
  for (const char* name : {"files/stored.npz", "files/deflated.npz", "files/zip64.npz"}) {
    const NpzFile file(test::golden_file(name));
    EXPECT_EQ(file.names(), (std::vector<std::string>{"weights", "labels", "one"})) << name;
    const Tensor weights = file.load("weights", device);
    EXPECT_EQ(weights.shape(), (Shape{40, 25}));
    EXPECT_EQ(weights.to_vector<double>(), std::vector<double>(1000));
    EXPECT_EQ(file.load("labels", device).to_vector<std::int64_t>(), numbers<std::int64_t>());
    EXPECT_EQ(file.load("one", device).shape(), Shape{});
    EXPECT_EQ(file.load("one", device).item<float>(), 2.5F);
  }
}

TEST(GoldenFiles, Safetensors) {
  const SafetensorsFile file(test::golden_file("files/mixed.safetensors"));
  EXPECT_EQ(file.tensors().size(), 6U);
  EXPECT_EQ(file.metadata(), (Metadata{{"format", "np"}}));
  for (const Device& device : test::devices()) {
    const Tensor wide = file.load("wide", device);
    EXPECT_EQ(wide.shape(), (Shape{4, 6}));
    EXPECT_EQ(wide.to_vector<double>(), numbers<double>(0.125));
    EXPECT_EQ(file.load("single", device).to_vector<float>(), numbers<float>(0.125));
    EXPECT_EQ(file.load("counts", device).to_vector<std::int64_t>(), numbers<std::int64_t>());
    EXPECT_EQ(file.load("bytes", device).to_vector<std::uint8_t>(), numbers<std::uint8_t>());
    std::size_t i = 0;
    for (const bfloat16 value : file.load("brain", device).to_vector<bfloat16>()) {
      EXPECT_EQ(to_float(value), 0.125F * static_cast<float>(i++));
    }
    i = 0;
    for (const float16 value : file.load("half", device).to_vector<float16>()) {
      EXPECT_EQ(to_float(value), 0.125F * static_cast<float>(i++));
    }
  }
}

}  // namespace
}  // namespace rtl::io
