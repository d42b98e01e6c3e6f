// Files of other formats are told by name, and dtypes that are not read stand beside those that are.
#include "rtl/io/file_kind.hpp"

#include <gtest/gtest.h>

#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/io/safetensors.hpp"
#include "support/devices.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::io {
namespace {

using test::TemporaryFolder;
using namespace std::string_literals;

std::string fault_of(const std::string& path) {
  try {
    const SafetensorsFile file(path);
  } catch (const FormatError& error) {
    EXPECT_EQ(error.file(), path);
    return error.what();
  }
  return "no FormatError";
}

TEST(FileKind, IsTold) {
  struct Case {
    std::string content;
    std::string kind;
    std::string remedy;
  };
  const std::string tail(64, '\0');
  const std::string zip = "PK\3\4\0\0\10\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\20\0\22\0"s;
  const Case cases[] = {
      {zip + "archive/data.pkl" + tail, "zip archive as torch.save writes it", "weights_only=True"},
      {zip + "weights.npy" + tail, "NumPy arrays (.npz)", "safetensors.numpy"},
      {zip + "word/document.xml" + tail, "is a zip archive", "if torch.save wrote it"},
      {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."s + tail, "Python pickle", "torch.load"},
      {"\x80\x04\x95"s + tail, "Python pickle", "torch.load"},
      {"GGUF\3\0\0\0\0\0\0\0"s + tail, "GGUF", "gguf"},
      {"\x89HDF\r\n\x1a\n\0\0\0"s + tail, "HDF5", "h5py"},
      {"\x08\x07\x12\x07pytorch\x1a"s + tail, "ONNX", "initializers"},
      {"\x1c\0\0\0TFL3\0\0"s + tail, "TFLite", "save"},
      {"\x93NUMPY\1\0v\0{'descr'"s, "NumPy array", ""},
      {"\x1f\x8b\x08\0\0\0\0\0\0\3"s + tail, "gzip", "gunzip"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer", "git lfs pull"},
      {"<!DOCTYPE html><html></html>", "HTML page", "download"},
      {"{\"metadata\": {}, \"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\"}}",
       "checkpoint in several files", "save_file"}};
  const TemporaryFolder folder;
  for (const Case& one : cases) {
    const std::string fault = fault_of(folder.write("model.safetensors", one.content));
    EXPECT_NE(fault.find(one.kind), std::string::npos) << fault;
    EXPECT_NE(fault.find(one.remedy), std::string::npos) << fault;
    for (std::size_t size = 0; size < one.content.size(); ++size) {
      (void)foreign_kind(std::as_bytes(std::span(one.content)).first(size), "x");
    }
  }
}

TEST(FileKind, AHeaderWhoseLengthSpellsAMagicIsAHeader) {
  // 0x04034b50 bytes of header: "PK\3\4".
  const std::string start = "PK\3\4\0\0\0\0{"s;
  EXPECT_EQ(foreign_kind(std::as_bytes(std::span(start)), "x"), "");
}

/// A file with this header and so many zero bytes behind it.
std::string with_header(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string content(reinterpret_cast<const char*>(&length), sizeof(length));
  return content + header + std::string(data_bytes, '\0');
}

TEST(Safetensors, DtypesThatAreNotReadStandBesideOthers) {
  const TemporaryFolder folder;
  const std::pair<const char*, int> dtypes[] = {{"I8", 2},   {"I16", 4},     {"U16", 4},     {"U32", 8},
                                                {"U64", 16}, {"F8_E4M3", 2}, {"F8_E5M2", 2}, {"F8_E8M0", 2},
                                                {"F4", 1},   {"C64", 16}};
  for (const auto& [dtype, bytes] : dtypes) {
    SCOPED_TRACE(dtype);
    const std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":")" +
                               std::string(dtype) + R"(","shape":[2,1],"data_offsets":[4,)" +
                               std::to_string(4 + bytes) + "]}}";
    const SafetensorsFile file(folder.write("file", with_header(header, static_cast<std::size_t>(4 + bytes))));
    ASSERT_EQ(file.tensors().size(), 1U);
    EXPECT_EQ(file.load("a", Device::cpu(1)).item<float>(), 0);
    ASSERT_EQ(file.unread().size(), 1U);
    EXPECT_EQ(file.unread()[0].name, "b");
    EXPECT_EQ(file.unread()[0].dtype, dtype);
    EXPECT_EQ(file.unread()[0].shape, (Shape{2, 1}));
    EXPECT_FALSE(file.contains("b"));
    try {
      (void)file.load("b", Device::cpu(1));
      FAIL();
    } catch (const FormatError& error) {
      EXPECT_NE(std::string(error.what()).find("tensor 'b' is " + std::string(dtype)), std::string::npos);
    }
    // One byte more than the shape needs.
    const std::string longer = R"({"b":{"dtype":")" + std::string(dtype) + R"(","shape":[2,1],"data_offsets":[0,)" +
                               std::to_string(1 + bytes) + "]}}";
    EXPECT_NE(
        fault_of(folder.write("file", with_header(longer, static_cast<std::size_t>(1 + bytes)))).find("does not fill"),
        std::string::npos);
  }
}

}  // namespace
}  // namespace rtl::io
