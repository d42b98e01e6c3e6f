#include "rtl/io/npy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "support/devices.hpp"
#include "support/golden.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::io {
namespace {

using test::content_of;
using test::TemporaryFolder;

template <typename T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// A .npy file of the given version.
std::string npy(const std::string& header, const std::string& data, char version = 1) {
  std::string content = std::string("\x93NUMPY") + version + '\0';
  const auto length = static_cast<std::uint32_t>(header.size());
  content.append(reinterpret_cast<const char*>(&length), version == 1 ? 2 : 4);
  return content + header + data;
}

std::string dictionary(const std::string& descr, const std::string& shape, const std::string& order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }   \n";
}

Tensor parse(const std::string& content) {
  return parse_npy(std::as_bytes(std::span(content)), "x.npy", Device::cpu());
}

std::string fault_of(const std::string& content) {
  try {
    (void)parse(content);
  } catch (const FormatError& error) {
    EXPECT_EQ(error.file(), "x.npy");
    return error.what();
  }
  return {};
}

template <typename T>
void check_round_trip(const std::vector<T>& values, const Shape& shape) {
  const TemporaryFolder folder;
  for (const Device& device : test::devices()) {
    write_npy(folder / "x.npy", Tensor::from(values, shape, device));
    const Tensor read = read_npy(folder / "x.npy", device);
    EXPECT_EQ(read.shape(), shape);
    EXPECT_EQ(read.dtype(), dtype_of<T>());
    const std::vector<T> back = read.to_vector<T>();
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(back)), std::as_bytes(std::span(values))));
  }
}

TEST(Npy, WritesWhatItReads) {
  check_round_trip<float>({1, -2, 3.5, 0, 1e-40f, 6}, {2, 3});
  check_round_trip<double>({1, 1e300}, {2});
  check_round_trip<float16>({to_float16(1.5f)}, {});
  check_round_trip<std::int32_t>({1, -2, 3, 4}, {1, 2, 2, 1});
  check_round_trip<std::int64_t>({INT64_MIN, INT64_MAX}, {2, 1});
  check_round_trip<std::uint8_t>({0, 255, 7}, {3});
  check_round_trip<float>({}, {0, 5});
}

TEST(Npy, WritesTheDocumentedBytes) {
  const Bytes bytes = encode_npy(Tensor::from(std::vector<std::uint8_t>{7, 8}, {2}, Device::cpu()));
  std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }";
  header.resize(117, ' ');
  const std::string expected = npy(header + "\n", "\x07\x08");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), expected);
  EXPECT_EQ(expected.size(), 130u);
}

TEST(Npy, RefusesWhatNumPyLacks) {
  EXPECT_THROW(encode_npy(Tensor({1}, DType::bf16, Device::cpu())), DTypeError);
  const Tensor matrix({4, 4}, DType::f32, Device::cpu());
  EXPECT_THROW(encode_npy(matrix.view().slice(1, 0, 2)), ShapeError);
  EXPECT_THROW(encode_npy(ConstView()), ShapeError);
}

TEST(Npy, ReadsEveryVersionAndNarrowTypes) {
  for (const char version : {1, 2, 3}) {
    EXPECT_EQ(parse(npy(dictionary("<f4", "(2,)"), raw<float>({1, 2}), version)).to_vector<float>(),
              (std::vector<float>{1, 2}));
  }
  EXPECT_EQ(parse(npy(dictionary("|b1", "(2,)"), raw<std::uint8_t>({0, 1}))).to_vector<std::uint8_t>(),
            (std::vector<std::uint8_t>{0, 1}));
  EXPECT_EQ(parse(npy(dictionary("|i1", "(2,)"), raw<std::int8_t>({-128, 127}))).to_vector<std::int32_t>(),
            (std::vector<std::int32_t>{-128, 127}));
  EXPECT_EQ(parse(npy(dictionary("<i2", "(1,)"), raw<std::int16_t>({-5}))).item<std::int32_t>(), -5);
  EXPECT_EQ(parse(npy(dictionary("<u2", "(1,)"), raw<std::uint16_t>({65535}))).item<std::int32_t>(), 65535);
  EXPECT_EQ(parse(npy(dictionary("<u4", "(1,)"), raw<std::uint32_t>({4000000000}))).item<std::int64_t>(), 4000000000);
  EXPECT_EQ(parse(npy("{\"shape\":(),\"fortran_order\":True,\"descr\":\"<f8\"}", raw<double>({3}))).item<double>(), 3);
}

TEST(Npy, ReadsEitherByteOrder) {
  EXPECT_EQ(parse(npy(dictionary("<u8", "(1,)"), raw<std::uint64_t>({INT64_MAX}))).item<std::int64_t>(), INT64_MAX);
  EXPECT_EQ(parse(npy(dictionary(">i2", "(2,)"), std::string("\xff\xfe\x01\x02", 4))).to_vector<std::int32_t>(),
            (std::vector<std::int32_t>{-2, 258}));
  EXPECT_EQ(parse(npy(dictionary(">f4", "(1,)"), std::string("\x3f\xc0\0\0", 4))).item<float>(), 1.5f);
  EXPECT_EQ(parse(npy(dictionary(">f8", "(1,)"), std::string("\x3f\xf8\0\0\0\0\0\0", 8))).item<double>(), 1.5);
  EXPECT_EQ(to_float(parse(npy(dictionary(">f2", "(1,)"), std::string("\x3e\0", 2))).item<float16>()), 1.5f);
  EXPECT_EQ(parse(npy(dictionary(">u4", "(1,)"), std::string("\xff\0\0\1", 4))).item<std::int64_t>(), 0xff000001);
  EXPECT_EQ(parse(npy(dictionary(">i8", "(1,)"), std::string("\0\0\0\0\0\0\1\0", 8))).item<std::int64_t>(), 256);
  EXPECT_EQ(parse(npy(dictionary(">u8", "(1,)"), std::string("\0\0\0\0\0\0\1\0", 8))).item<std::int64_t>(), 256);
}

std::vector<std::string> text_of(const std::string& content) {
  return parse_npy_text(std::as_bytes(std::span(content)), "x.npy").values;
}

TEST(Npy, ReadsText) {
  const std::string little =
      raw(std::vector<char32_t>{U'a', U'\u00e9', 0, U'\u20ac', 0, 0, 0, 0, 0, U'\U0001f600', U'x', 0});
  std::string big = little;
  for (std::size_t at = 0; at < big.size(); at += 4)
    std::reverse(big.begin() + static_cast<long>(at), big.begin() + static_cast<long>(at) + 4);
  const std::vector<std::string> expected = {"a\xc3\xa9", "\xe2\x82\xac", "", "\xf0\x9f\x98\x80x"};
  EXPECT_EQ(text_of(npy(dictionary("<U3", "(4,)"), little)), expected);
  EXPECT_EQ(text_of(npy(dictionary(">U3", "(4, 1)"), big)), expected);
  EXPECT_EQ(text_of(npy(dictionary("|S2", "(3,)"), std::string("abc\0\0\0", 6))),
            (std::vector<std::string>{"ab", "c", ""}));
  const std::string numbers = npy(dictionary("<f4", "(1,)"), raw<float>({1}));
  EXPECT_FALSE(npy_holds_text(std::as_bytes(std::span(numbers)), "x.npy"));
  EXPECT_THROW(text_of(numbers), FormatError);
  EXPECT_THROW(text_of(npy(dictionary("<U3", "(4,)"), little + "x")), FormatError);
  EXPECT_THROW(text_of(npy(dictionary("<U0", "(1000000000000,)"), "")), FormatError);
  EXPECT_THROW(text_of(npy(dictionary("<U99999999999999999999", "(1,)"), "")), FormatError);
  EXPECT_THROW(text_of(npy(dictionary("<U1", "(1,)"), raw<std::uint32_t>({0x110000}))), FormatError);
  EXPECT_THROW(text_of(npy(dictionary("<U1", "(1,)"), raw<std::uint32_t>({0xd800}))), FormatError);
  EXPECT_THROW(text_of(npy(dictionary("|S1", "(2, 2)", "True"), "abcd")), FormatError);
}

TEST(Npy, BringsFortranOrderToRowMajor) {
  // value = 100 i + 10 j + k, written with the first index fastest.
  std::vector<std::int32_t> columns, rows;
  for (int k = 0; k < 4; ++k)
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 2; ++i) columns.push_back(100 * i + 10 * j + k);
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 4; ++k) rows.push_back(100 * i + 10 * j + k);
  const Tensor read = parse(npy(dictionary("<i4", "(2, 3, 4)", "True"), raw(columns)));
  EXPECT_EQ(read.shape(), (Shape{2, 3, 4}));
  EXPECT_EQ(read.to_vector<std::int32_t>(), rows);
}

TEST(Npy, ReadsGzip) {
  const TemporaryFolder folder;
  const std::string content = npy(dictionary("<f4", "(1,)"), raw<float>({4}));
  EXPECT_EQ(read_npy(folder.write("x.npy.gz", test::gzip(content)), Device::cpu()).item<float>(), 4);
}

TEST(Npy, RefusesDamage) {
  struct Case {
    std::string content;
    const char* fault;
  };
  const std::string one = raw<float>({1});
  const Case cases[] = {
      {"", "wrong magic number"},
      {"\x93NUMPX" + std::string(200, ' '), "wrong magic number"},
      {npy(dictionary("<f4", "(1,)"), one, 4), "version 4"},
      {npy(dictionary("<f4", "(1,)"), one, 0), "version 0"},
      {npy(dictionary("<f4", "(1,)"), "abc"), "3 bytes follow"},
      {npy(dictionary("<f4", "(1,)"), one + "x"), "5 bytes follow"},
      {npy(dictionary("<U1", "(1,)"), one), "holds text ('U1'), where numbers are expected"},
      {npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", one), "structures with fields"},
      {npy(dictionary("<u8", "(1,)"), raw<std::uint64_t>({UINT64_MAX})),
       "element 0 is 18446744073709551615, more than"},
      {npy(dictionary("<c8", "(1,)"), one), "'c8'"},
      {npy(dictionary("|O", "(1,)"), one), "Python objects (pickled)"},
      {npy(dictionary("<f4", "(-1,)"), one), "in the shape"},
      {npy(dictionary("<f4", "(1.0,)"), one), "')' expected"},
      {npy(dictionary("<f4", "(99999999999999999999,)"), one), "in the shape"},
      {npy(dictionary("<f4", "(4294967296, 4294967296)"), one), "impossible shape"},
      {npy(dictionary("<f4", "(4611686018427387905,)"), one), "4 bytes follow"},
      {npy(dictionary("<f4", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), one), "more than 8"},
      {npy(dictionary("<f4", "(1,)", "Maybe"), one), "True or False"},
      {npy("{'descr': '<f4', 'fortran_order': False}", one), "is missing"},
      {npy("{'descr': '<f4', 'descr': '<f4'}", one), "repeated key"},
      {npy("{'other': '<f4'}", one), "unexpected"},
      {npy("{'descr': '<f4", one), "not closed"},
      {npy(dictionary("<f4", "(1,)") + "more", one), "behind the dictionary"},
      {npy("", one), "'{' expected"},
  };
  for (const Case& wrong : cases) {
    const std::string fault = fault_of(wrong.content);
    EXPECT_NE(fault.find(wrong.fault), std::string::npos) << wrong.fault << "\n" << fault;
  }
  const std::string valid = npy(dictionary("<f4", "(1,)"), one);
  for (std::size_t size = 0; size < valid.size(); ++size) EXPECT_NE(fault_of(valid.substr(0, size)), "") << size;
}

TEST(Npy, RandomDamageNeverCrashes) {
  const std::string valid = npy(dictionary("<u2", "(3, 2)", "True"), raw<std::uint16_t>({1, 2, 3, 4, 5, 6}));
  RandomSequence random(5);
  for (int trial = 0; trial < 20000; ++trial) {
    std::string damaged = valid;
    for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
      damaged[random.below(damaged.size())] = static_cast<char>(random.bits());
    }
    (void)fault_of(damaged);
  }
}

TEST(Npz, WritesWhatItReads) {
  const TemporaryFolder folder;
  const Device host = Device::cpu();
  const Tensor zeros = Tensor::zeros({100, 100}, DType::f32, host);
  const Tensor numbers = Tensor::from(std::vector<std::int64_t>{1, 2, 3}, {3}, host);
  const Tensor empty({0}, DType::f64, host);
  for (const bool compress : {false, true}) {
    const std::string path = folder / "x.npz";
    write_npz(path, {{"zeros", zeros}, {"numbers", numbers}, {"empty", empty}}, compress);
    const NpzFile file(path);
    EXPECT_EQ(file.names(), (std::vector<std::string>{"zeros", "numbers", "empty"}));
    EXPECT_TRUE(file.contains("zeros"));
    EXPECT_EQ(file.load("zeros", host).to_vector<float>(), std::vector<float>(10000));
    EXPECT_EQ(file.load("numbers", host).to_vector<std::int64_t>(), (std::vector<std::int64_t>{1, 2, 3}));
    EXPECT_EQ(file.load("empty", host).shape(), Shape{0});
    EXPECT_THROW(file.load("other", host), FormatError);
    EXPECT_EQ(content_of(path).size() < 5000, compress);
  }
  write_npz(folder / "none.npz", {});
  EXPECT_TRUE(NpzFile(folder / "none.npz").names().empty());
}

TEST(Npz, RefusesWhatItCannotWrite) {
  const TemporaryFolder folder;
  const std::string path = folder.write("x.npz", "old");
  const Tensor a = Tensor::zeros({1}, DType::f32, Device::cpu());
  EXPECT_THROW(write_npz(path, {{"a", a}, {"a", a}}), ValueError);
  EXPECT_THROW(write_npz(path, {{"", a}}), ValueError);
  EXPECT_THROW(write_npz(path, {{"a", Tensor({1}, DType::bf16, Device::cpu())}}), DTypeError);
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(Npz, FindsEveryFlippedByteOfItsMembers) {
  const TemporaryFolder folder;
  const Tensor values = Tensor::from(std::vector<float>{1, 2, 3, 4}, {4}, Device::cpu());
  for (const bool compress : {false, true}) {
    write_npz(folder / "valid.npz", {{"v", values}}, compress);
    const std::string valid = content_of(folder / "valid.npz");
    const std::size_t data = 30 + 5;
    const std::size_t directory = valid.find("PK\1\2");
    ASSERT_NE(directory, std::string::npos);
    for (std::size_t at = data; at < directory; at += 3) {
      std::string damaged = valid;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      const NpzFile file(folder.write("damaged.npz", damaged));
      EXPECT_THROW((void)file.load("v", Device::cpu()), FormatError) << at;
    }
    for (std::size_t size = 0; size < valid.size(); size += 7) {
      EXPECT_THROW(NpzFile(folder.write("cut.npz", valid.substr(0, size))), FormatError) << size;
    }
  }
}

TEST(Npz, BytesDependOnTheArgumentsAlone) {
  const TemporaryFolder folder;
  const Tensor a = Tensor::from(std::vector<float>{1, 2, 3}, {3}, Device::cpu());
  for (const bool compress : {false, true}) {
    write_npz(folder / "one.npz", {{"a", a}, {"b", a}}, compress);
    const std::string first = content_of(folder / "one.npz");
    ASSERT_EQ(first.substr(0, 4), "PK\3\4");
    EXPECT_EQ(first.substr(10, 4), std::string("\0\0\x21\0", 4)) << "midnight of 1 January 1980";
    write_npz(folder / "two.npz", {{"a", a}, {"b", a}}, compress);
    EXPECT_EQ(content_of(folder / "two.npz"), first);
  }
}

TEST(Npz, RefusesPromisesThatNoFileKeeps) {
  const TemporaryFolder folder;
  const std::string valid = content_of(test::golden_file("files/zip64.npz"));
  const std::size_t end = valid.rfind("PK\6\6");
  ASSERT_NE(end, std::string::npos);
  for (const std::size_t field : {24u, 32u, 40u, 48u}) {  // two counts of entries, the directory's bytes and place
    std::string hostile = valid;
    hostile.replace(end + field, 8, "\xf0\xff\xff\xff\xff\xff\xff\x7f", 8);
    EXPECT_THROW(NpzFile(folder.write("hostile.npz", hostile)), FormatError) << field;
  }
  const std::size_t entry = valid.find("PK\1\2");
  const std::size_t sizes = valid.find(std::string("\1\0", 2), entry + 46);  // the zip64 field of the first member
  std::string hostile = valid;
  hostile.replace(sizes + 4, 8, "\0\0\0\0\0\x10\0\0", 8);
  const NpzFile file(folder.write("hostile.npz", hostile));
  EXPECT_THROW((void)file.content(file.names().front()), FormatError);
}

TEST(Npz, RandomDamageNeverCrashes) {
  const TemporaryFolder folder;
  const Tensor values = Tensor::zeros({20}, DType::f32, Device::cpu());
  write_npz(folder / "valid.npz", {{"a", values}, {"b", values}}, true);
  const std::string valid = content_of(folder / "valid.npz");
  RandomSequence random(77);
  for (int trial = 0; trial < 500; ++trial) {
    std::string damaged = valid;
    for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
      damaged[random.below(damaged.size())] = static_cast<char>(random.bits());
    }
    if (random.below(4) == 0) damaged.erase(random.below(damaged.size()), 1 + random.below(30));
    const std::string path = folder.write("damaged.npz", damaged);
    try {
      const NpzFile file(path);
      for (const std::string& name : file.names()) (void)file.load(name, Device::cpu());
    } catch (const FormatError& error) {
      ASSERT_EQ(error.file().substr(0, path.size()), path);
    }
  }
}

}  // namespace
}  // namespace rtl::io
