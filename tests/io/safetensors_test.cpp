#include "rtl/io/safetensors.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "rtl/core/error.hpp"
#include "support/devices.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::io {
namespace {

using test::content_of;
using test::TemporaryFolder;

/// A file with this header and so many zero bytes behind it.
std::string with_header(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string content(reinterpret_cast<const char*>(&length), sizeof(length));
  return content + header + std::string(data_bytes, '\0');
}

std::string fault_of(const std::string& path) {
  try {
    const SafetensorsFile file(path);
  } catch (const FormatError& error) {
    EXPECT_EQ(error.file(), path);
    return error.what();
  }
  return {};
}

TEST(Safetensors, WritesWhatItReads) {
  const TemporaryFolder folder;
  const std::string path = folder / "tensors.safetensors";
  for (const Device& device : test::devices()) {
    const Tensor floats = Tensor::from(std::vector<float>{1, -2, 3.5, 0, 1e-40f, 6}, {2, 3}, device);
    const Tensor doubles = Tensor::from(std::vector<double>{1, 1e300}, {2}, device);
    const Tensor bytes = Tensor::from(std::vector<std::uint8_t>{1, 2, 255}, {3, 1}, device);
    const Tensor longs = Tensor::from(std::vector<std::int64_t>{-5}, {}, device);
    const Tensor empty({4, 0}, DType::f16, device);
    const Metadata metadata = {{"format", "rtl"}, {"architecture", "\"quoted\"\n\xc3\xa4"}};
    write_safetensors(path, {{"c", floats}, {"b", bytes}, {"a/b", doubles}, {"scalar", longs}, {"empty", empty}},
                      metadata);
    const SafetensorsFile file(path);
    EXPECT_EQ(file.metadata(), metadata);
    ASSERT_EQ(file.tensors().size(), 5u);
    EXPECT_EQ(file.load("c", device).to_vector<float>(), floats.to_vector<float>());
    EXPECT_EQ(file.load("c", device).shape(), (Shape{2, 3}));
    EXPECT_EQ(file.load("a/b", device).to_vector<double>(), doubles.to_vector<double>());
    EXPECT_EQ(file.load("b", device).to_vector<std::uint8_t>(), bytes.to_vector<std::uint8_t>());
    EXPECT_EQ(file.load("scalar", device).item<std::int64_t>(), -5);
    EXPECT_EQ(file.load("scalar", device).rank(), 0);
    EXPECT_EQ(file.load("empty", device).shape(), (Shape{4, 0}));
    EXPECT_EQ(std::memcmp(file.view("c").data(), file.bytes("c").data(), 24), 0);
    EXPECT_TRUE(file.contains("c"));
    EXPECT_FALSE(file.contains("d"));
    EXPECT_THROW(file.load("d", device), FormatError);
  }
}

TEST(Safetensors, BytesDependOnTheContentsAlone) {
  const TemporaryFolder folder;
  const Device host = Device::cpu();
  const Tensor a = Tensor::from(std::vector<float>{1, 2}, {2}, host);
  const Tensor b = Tensor::from(std::vector<std::uint8_t>{3}, {1}, host);
  write_safetensors(folder / "one", {{"a", a}, {"b", b}}, {{"x", "1"}, {"y", "2"}});
  write_safetensors(folder / "two", {{"b", b}, {"a", a}}, {{"y", "2"}, {"x", "1"}});
  EXPECT_EQ(content_of(folder / "one"), content_of(folder / "two"));
  std::uint64_t header = 0;
  std::memcpy(&header, content_of(folder / "one").data(), 8);
  EXPECT_EQ(header % 8, 0u);
}

TEST(Safetensors, RefusesWhatItCannotWrite) {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "old");
  const Tensor a = Tensor::zeros({4, 4}, DType::f32, Device::cpu());
  EXPECT_THROW(write_safetensors(path, {{"a", a}, {"a", a}}), ValueError);
  EXPECT_THROW(write_safetensors(path, {{"__metadata__", a}}), ValueError);
  EXPECT_THROW(write_safetensors(path, {{"\xff", a}}), ValueError);
  EXPECT_THROW(write_safetensors(path, {{"a", a.view().slice(1, 0, 2)}}), ShapeError);
  EXPECT_THROW(write_safetensors(path, {{"a", ConstView()}}), ShapeError);
  EXPECT_THROW(write_safetensors(folder / "no/folder", {{"a", a}}), IoError);
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(Safetensors, RefusesDamagedHeaders) {
  struct Case {
    const char* header;
    std::size_t data_bytes;
    const char* fault;
  };
  const Case cases[] = {
      {"", 0, "no valid JSON"},
      {"{", 0, "no valid JSON"},
      {"[]", 0, "no JSON object"},
      {"{\"a\":{}}", 0, "lacks dtype"},
      {"{\"a\":5}", 0, "lacks dtype"},
      {R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4, "dtype \"F31\""},
      {R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", 4, "dtype 7"},
      {R"({"a":{"dtype":[[]],"shape":[1],"data_offsets":[0,4]}})", 4, "no text"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "whole numbers"},
      {R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4, "whole numbers"},
      {R"({"a":{"dtype":"F32","shape":5,"data_offsets":[0,4]}})", 4, "shape is no list"},
      {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4, "at most 8"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0, "2^63"},
      {R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4, "2^63"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0, "does not fill"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "does not fill"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,5]}})", 5, "does not fill"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "not inside"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3, "not inside"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551615]}})", 4,
       "not inside"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4, "whole numbers"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "no pair"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       4, "overlap"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8, "overlap"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "hole"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5, "follow the last tensor"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8, "'a' twice"},
      {R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, "'dtype' twice"},
      {R"({"__metadata__":[]})", 0, "__metadata__ is no"},
      {R"({"__metadata__":{"a":1}})", 0, "is no string"},
      {"{\"\xff\":1}", 0, "no valid JSON"},
      {R"({"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}})", 4, "no valid JSON"},
  };
  const TemporaryFolder folder;
  for (const Case& wrong : cases) {
    const std::string fault = fault_of(folder.write("file", with_header(wrong.header, wrong.data_bytes)));
    EXPECT_NE(fault.find(wrong.fault), std::string::npos) << wrong.header << "\n" << fault;
  }
}

TEST(Safetensors, RefusesDeepNestingWithoutExhaustingTheStack) {
  const TemporaryFolder folder;
  const std::string deep = "{\"a\":" + std::string(2'000'000, '[');
  EXPECT_NE(fault_of(folder.write("open", with_header(deep, 0))).find("nested"), std::string::npos);
  const std::string closed = deep + std::string(2'000'000, ']') + "}";
  EXPECT_NE(fault_of(folder.write("closed", with_header(closed, 0))).find("nested"), std::string::npos);
  const std::string type = "{\"a\":{\"dtype\":" + std::string(100'000, '[') + std::string(100'000, ']') +
                           ",\"shape\":[0],\"data_offsets\":[0,0]}}";
  EXPECT_NE(fault_of(folder.write("type", with_header(type, 0))).find("nested"), std::string::npos);
}

TEST(Safetensors, RefusesWrongLengths) {
  const TemporaryFolder folder;
  const std::string valid = with_header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
  EXPECT_EQ(fault_of(folder.write("valid", valid)), "");
  for (std::size_t size = 0; size < valid.size(); ++size) {
    EXPECT_NE(fault_of(folder.write("cut", valid.substr(0, size))), "") << size;
  }
  std::string longer = valid;
  longer[1] = 1;
  EXPECT_NE(fault_of(folder.write("longer", longer)).find("header of"), std::string::npos);
  longer[7] = 127;
  EXPECT_NE(fault_of(folder.write("huge", longer)).find("more than the format's"), std::string::npos);
  EXPECT_THROW(SafetensorsFile(folder.path()), IoError);
}

TEST(Safetensors, LoadsUnalignedTensors) {
  const TemporaryFolder folder;
  std::string content = with_header(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[1,5]},"b":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]} })",
      5);
  const float value = 2.5f;
  std::memcpy(content.data() + content.size() - 4, &value, 4);
  const SafetensorsFile file(folder.write("file", content));
  EXPECT_EQ(file.load("a", Device::cpu()).item<float>(), value);
  EXPECT_EQ(file.entry("b").dtype, DType::u8);
  EXPECT_NE(file.entry("a").offset % 4, 0u) << "the test does not test";
  EXPECT_THROW(file.view("a"), FormatError);
}

}  // namespace
}  // namespace rtl::io
