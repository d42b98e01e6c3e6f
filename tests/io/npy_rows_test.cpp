// Rows of .npy files that are read in blocks.
#include "rtl/io/npy_rows.hpp"

#include <gtest/gtest.h>

#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"
#include "support/gzip.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::io {
namespace {

using test::TemporaryFolder;

TEST(NpyRows, AreThoseOfTheWholeFile) {
  const TemporaryFolder folder;
  const Device host = Device::cpu(1);
  RandomSequence random(test::seed(), 11);
  std::vector<float> values(37 * 5);
  for (float& value : values) value = static_cast<float>(random.normal());
  write_npy(folder / "x.npy", Tensor::from(values, {37, 5}, host));
  const NpyRows rows(folder / "x.npy");
  EXPECT_EQ(rows.shape(), (Shape{37, 5}));
  std::vector<float> joined;
  for (std::int64_t begin = 0; begin < 37; begin += 6) {
    const Tensor part = rows.read(begin, std::min<std::int64_t>(begin + 6, 37), host);
    EXPECT_EQ(part.extent(1), 5);
    const std::vector<float> own = part.to_vector<float>();
    joined.insert(joined.end(), own.begin(), own.end());
  }
  EXPECT_EQ(joined, values);
  EXPECT_EQ(rows.read(4, 4, host).count(), 0);
  EXPECT_THROW((void)rows.read(30, 38, host), ShapeError);
  EXPECT_THROW((void)rows.read(-1, 3, host), ShapeError);
  EXPECT_THROW((void)rows.read(3, 2, host), ShapeError);
}

/// A header of version 1, and `data` behind it.
std::string file(const std::string& header, const std::string& data) {
  return std::string("\x93NUMPY\1\0", 8) + static_cast<char>(header.size()) + '\0' + header + data;
}

TEST(NpyRows, OtherTypesAreWidenedAsInWholeFiles) {
  const TemporaryFolder folder;
  const std::string path = folder.write("u.npy", file("{'descr': '<u2', 'fortran_order': False, 'shape': (3, 2), }\n",
                                                      std::string("\1\0\2\0\3\0\4\0\5\0\6\1", 12)));
  const NpyRows rows(path);
  EXPECT_EQ(rows.read(1, 3, Device::cpu(1)).to_vector<std::int32_t>(), (std::vector<std::int32_t>{3, 4, 5, 262}));
  const std::string vector = folder.write(
      "b.npy", file("{'descr': '>i4', 'fortran_order': True, 'shape': (2,), }\n", std::string("\0\0\0\7\0\0\1\0", 8)));
  EXPECT_EQ(NpyRows(vector).read(1, 2, Device::cpu(1)).to_vector<std::int32_t>(), (std::vector<std::int32_t>{256}));
}

TEST(NpyRows, WhatHasNoRowsToReadIsRefused) {
  const TemporaryFolder folder;
  EXPECT_THROW(NpyRows(folder / "none.npy"), IoError);
  for (const std::string& content :
       {std::string(), std::string("no array"),
        file("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", "abcd"),
        file("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }\n", ""),
        file("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }\n", "abcdefgh"),
        file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n", "abcdefgh"),
        file("{'descr': '<U1', 'fortran_order': False, 'shape': (2,), }\n", "abcdefgh"),
        test::gzip(file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", "abcd"))}) {
    EXPECT_THROW(NpyRows(folder.write("bad.npy", content)), FormatError) << content;
  }
}

}  // namespace
}  // namespace rtl::io
