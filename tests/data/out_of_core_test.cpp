// Data sets whose inputs lie in files are those in memory, bit for bit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>

#include "data/make_files.hpp"
#include "rtl/core/random.hpp"
#include "rtl/data/images.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/stress.hpp"
#include "support/file_size_limit.hpp"
#include "support/out_of_core.hpp"
#include "support/png.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::OwnMemoryLimit;
using test::Setting;
using test::TemporaryFolder;

void expect_same(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.defined(), b.defined());
  if (!a.defined()) return;
  ASSERT_EQ(a.shape(), b.shape());
  ASSERT_EQ(a.dtype(), b.dtype());
  EXPECT_EQ(std::memcmp(a.view().data(), b.view().data(), a.bytes()), 0);
}

void expect_same(const Dataset& a, const Dataset& b) {
  expect_same(a.inputs, b.inputs);
  expect_same(a.labels, b.labels);
  expect_same(a.targets, b.targets);
  EXPECT_EQ(a.input_hash(), b.input_hash());
}

/// Loads a SPEC in memory and out of core. Returns the latter.
TrainTest expect_same_parts(const std::string& spec, bool in_file = true) {
  SCOPED_TRACE(spec);
  const Device host = Device::cpu(1);
  const TrainTest memory = load(spec, host);
  EXPECT_FALSE(memory.train.inputs.in_file());
  const Setting limit("RTL_OUT_OF_CORE", "0");
  TrainTest file = load(spec, host);
  EXPECT_EQ(file.train.inputs.in_file(), in_file);
  EXPECT_EQ(file.notes, memory.notes);
  EXPECT_EQ(file.train_rows, memory.train_rows);
  expect_same(file.train, memory.train);
  expect_same(file.test, memory.test);
  return file;
}

template <typename T>
std::string array(const Shape& shape, const std::function<T(std::int64_t)>& value) {
  std::vector<T> values;
  for (std::int64_t i = 0; i < shape.count(); ++i) values.push_back(value(i));
  return test::npy(values, shape);
}

/// The same values as another type of NumPy, big-endian where `descr` says so.
template <typename Stored>
std::string retyped(const std::string& npy_of_f32, const std::string& descr) {
  std::string head = npy_of_f32.substr(0, 128);
  head.replace(head.find("<f4"), 3, descr);
  std::string content = head;
  for (std::size_t at = 128; at < npy_of_f32.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, npy_of_f32.data() + at, sizeof value);
    const auto stored = static_cast<Stored>(value);
    std::string bytes(sizeof stored, '\0');
    std::memcpy(bytes.data(), &stored, sizeof stored);
    if (descr.front() == '>') std::reverse(bytes.begin(), bytes.end());
    content += bytes;
  }
  return content;
}

std::string labels_of(std::int64_t count) {
  return array<std::int32_t>({count}, [](std::int64_t i) { return static_cast<std::int32_t>(i % 3); });
}

TEST(OutOfCore, VectorsOfEveryType) {
  const TemporaryFolder folder;
  const auto number = [](std::int64_t i) { return static_cast<float>(i % 100) / 4; };
  const std::string f32 = array<float>({37, 5}, number);
  folder.write("Y.npy", labels_of(37));
  const std::pair<const char*, std::string> files[] = {
      {"f4", f32},
      {"big_f4", retyped<float>(f32, ">f4")},
      {"f8", array<double>({37, 5}, [](std::int64_t i) { return std::sin(static_cast<double>(i)); })},
      {"big_f8", retyped<double>(f32, ">f8")},
      {"f2", array<float16>({37, 5}, [&](std::int64_t i) { return to_float16(number(i)); })},
      {"i1", retyped<std::int8_t>(f32, "|i1")},
      {"u1", retyped<std::uint8_t>(f32, "|u1")},
      {"b1", retyped<bool>(f32, "|b1")},
      {"i2", retyped<std::int16_t>(f32, "<i2")},
      {"u2", retyped<std::uint16_t>(f32, ">u2")},
      {"i4", retyped<std::int32_t>(f32, "<i4")},
      {"u4", retyped<std::uint32_t>(f32, "<u4")},
      {"i8", retyped<std::int64_t>(f32, ">i8")},
      {"u8", retyped<std::uint64_t>(f32, "<u8")}};
  for (const auto& [name, content] : files) {
    const std::string file = folder.write(std::string(name) + ".npy", content);
    expect_same_parts("npy:" + file + "," + (folder / "Y.npy"));
    expect_same_parts("npy:" + file);
    expect_same_parts("npy:" + file + "," + (folder / "Y.npy") + "?split=train&offset=3&limit=20");
  }
}

TEST(OutOfCore, ArraysThatAreNoRowsOfTheFileAreReadIntoMemoryFirst) {
  const TemporaryFolder folder;
  std::string fortran = array<float>({6, 5}, [](std::int64_t i) { return static_cast<float>(i); });
  fortran.replace(fortran.find("False"), 5, "True ");
  expect_same_parts("npy:" + folder.write("F.npy", fortran), false);
  std::string shifted = array<float>({6, 5}, [](std::int64_t i) { return static_cast<float>(i); });
  shifted.insert(127, " ");  // the values are not aligned
  shifted[8] = static_cast<char>(shifted[8] + 1);
  expect_same_parts("npy:" + folder.write("shifted.npy", shifted));
}

TEST(OutOfCore, ImagesOfEveryForm) {
  const TemporaryFolder folder;
  folder.write("Y.npy", labels_of(9));
  const auto byte = [](std::int64_t i) { return static_cast<std::uint8_t>(i * 7); };
  const auto file = [&](const std::string& name, const std::string& content) {
    return "npy:" + folder.write(name, content) + "," + (folder / "Y.npy");
  };
  expect_same_parts(file("nhw.npy", array<std::uint8_t>({9, 5, 7}, byte)));
  expect_same_parts(file("nhwc.npy", array<std::uint8_t>({9, 5, 7, 3}, byte)));
  expect_same_parts(file("nchw.npy", array<std::uint8_t>({9, 3, 5, 7}, byte)));
  expect_same_parts(file(
      "unit.npy", array<float>({9, 3, 5, 7}, [&](std::int64_t i) { return static_cast<float>(byte(i)) / 255.0F; })));
  expect_same_parts(file("whole.npy", array<std::int64_t>({9, 5, 7}, [&](std::int64_t i) { return byte(i); })));
  expect_same_parts(file("sized.npy", array<std::uint8_t>({9, 8, 10, 3}, byte)) + "?resize=6&crop=5&color=grey");
}

TEST(OutOfCore, OtherFormats) {
  const TemporaryFolder folder;
  std::vector<std::uint8_t> pixels(9 * 5 * 7), labels(9);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 3);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::uint8_t>(i % 3);
  for (const char* part : {"train", "t10k"}) {
    folder.write(std::string("idx/") + part + "-images-idx3-ubyte", test::idx({9, 5, 7}, pixels));
    folder.write(std::string("idx/") + part + "-labels-idx1-ubyte", test::idx({9}, labels));
  }
  expect_same_parts("idx:" + (folder / "idx"));
  expect_same_parts("idx:" + (folder / "idx") + "?limit=4&resize=4");
  for (int i = 0; i < 5; ++i) {  // the third is the first in colour
    const std::uint32_t channels = i < 2 || i == 4 ? 1 : 3;
    std::vector<std::uint8_t> picture;
    for (std::uint32_t p = 0; p < 6 * 4 * channels; ++p)
      picture.push_back(static_cast<std::uint8_t>(p * 9 + static_cast<std::uint32_t>(i)));
    for (const char* name : {"a", "b"}) {
      folder.write(fmt::format("pictures/{}/{}.png", name, i), test::png_of(6, 4, channels, picture));
    }
  }
  expect_same_parts("images:" + (folder / "pictures"));
}

TEST(OutOfCore, EverythingThatIsMadeOfThem) {
  const TemporaryFolder folder;
  folder.write("X.npy", array<float>({50, 6}, [](std::int64_t i) { return static_cast<float>(std::cos(i)); }));
  folder.write("Y.npy", labels_of(50));
  const std::string spec = "npy:" + (folder / "X.npy") + "," + (folder / "Y.npy") + "?test_fraction=0&split=train";
  const Device host = Device::cpu(1);
  const Dataset memory = load(spec, host).train;
  const Setting limit("RTL_OUT_OF_CORE", "0");
  const Dataset file = load(spec, host).train;
  ASSERT_TRUE(file.inputs.in_file());
  const std::vector<std::int64_t> scattered = {7, 3, 3, 49, 0}, following = {11, 12, 13};
  for (const auto& rows : {scattered, following}) expect_same(file.subset(rows), memory.subset(rows));
  expect_same(file.clone(), memory.clone());
  expect_same(file.to(host), memory.to(host));
  file.validate(true);
  const InputNormalization fitted = fit_normalization(file);
  EXPECT_EQ(fitted, fit_normalization(memory));
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor scaled = standardized(file.inputs, fitted, dtype, host);
    EXPECT_TRUE(scaled.in_file());
    expect_same(scaled, standardized(memory.inputs, fitted, dtype, host));
  }
  expect_same(with_input_noise(file, 0.3, 5), with_input_noise(memory, 0.3, 5));
  expect_same(stressed(file, {.few = 9, .seed = 2}), stressed(memory, {.few = 9, .seed = 2}));
}

TEST(OutOfCore, WhatIsWrittenToATensorLeavesTheFileAlone) {
  const TemporaryFolder folder;
  const std::string content = array<float>({50, 6}, [](std::int64_t i) { return static_cast<float>(i); });
  const std::string file = folder.write("X.npy", content);
  const Setting limit("RTL_OUT_OF_CORE", "0");
  TrainTest parts = load("npy:" + file, Device::cpu(1));
  parts.train.inputs.data_as<float>()[0] = 77;
  EXPECT_EQ(parts.train.inputs.to_vector<float>()[0], 77);
  EXPECT_EQ(parts.test.inputs.to_vector<float>()[0], 0);
  EXPECT_EQ(parts.train.clone().inputs.to_vector<float>()[0], 77);
  EXPECT_EQ(test::content_of(file), content);
}

TEST(OutOfCore, DamageIsTold) {
  const TemporaryFolder folder;
  const std::string content = array<float>({50, 6}, [](std::int64_t i) { return static_cast<float>(i); });
  const Device host = Device::cpu(1);
  const Setting limit("RTL_OUT_OF_CORE", "0");
  for (const std::size_t length : {content.size() - 1, content.size() - 24, std::size_t{129}, std::size_t{100}}) {
    const std::string file = folder.write("short.npy", content.substr(0, length));
    EXPECT_THROW(load("npy:" + file, host), FormatError) << length;
  }
  std::string wild = content;
  const float infinite = INFINITY;
  std::memcpy(wild.data() + 128 + 4 * (6 * 8 + 2), &infinite, sizeof infinite);
  try {
    load("npy:" + folder.write("wild.npy", wild), host);
    FAIL() << "infinity was taken";
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("sample 8, feature 2 is inf"), std::string::npos) << error.what();
  }
  folder.write("Y.npy", labels_of(50));
  const std::string file = folder.write("X.npy", content);
  const test::FileSizeLimit full(512);
  EXPECT_THROW(load("npy:" + file + "," + (folder / "Y.npy"), host), IoError) << "the parts need room on the disk";
  EXPECT_EQ(load("npy:" + file, host).train.size(), 50) << "all rows need none";
}

TEST(OutOfCore, NeedsNoMemoryForAllOfThem) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers have memory of their own";
#endif
  constexpr std::int64_t rows = 1000, columns = std::int64_t{1} << 16;  // 250 MiB, of which the disk has nothing
  constexpr std::size_t granted = std::size_t{64} << 20;
  const TemporaryFolder folder;
  std::string text = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  text.resize(117, ' ');
  const std::string file = folder.write("X.npy", std::string("\x93NUMPY\1\0v\0", 10) + text + "\n");
  std::filesystem::resize_file(file, 128 + static_cast<std::uintmax_t>(rows * columns) * sizeof(float));
  const Device host = Device::cpu(1).separate();
  const OwnMemoryLimit limit(granted);
  {
    const Setting all("RTL_OUT_OF_CORE", "1T");
    EXPECT_THROW(load("npy:" + file, host), std::exception) << "the limit is to be one that memory would break";
  }
  const Setting some("RTL_OUT_OF_CORE", "16M");
  const Dataset samples = load("npy:" + file + "?limit=900", host).train;
  EXPECT_EQ(samples.sample_shape(), Shape{columns});
  EXPECT_NE(samples.input_hash(), 0U);
  const std::vector<std::int64_t> chosen = {900 - 1, 5, 17};
  EXPECT_EQ(samples.subset(chosen).size(), 3);
  const InputNormalization normalization = fit_normalization(samples);
  EXPECT_EQ(normalization.constant_columns.size(), static_cast<std::size_t>(columns));
}

}  // namespace
}  // namespace rtl::data
