// Contents of small valid data files, for tests to read and to damage.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "rtl/io/npy.hpp"

namespace rtl::test {

/// An idx file of unsigned bytes.
inline std::string idx(const std::vector<std::uint32_t>& extents, const std::vector<std::uint8_t>& values) {
  std::string content = {'\0', '\0', '\x08', static_cast<char>(extents.size())};
  for (const std::uint32_t extent : extents) {
    for (const int shift : {24, 16, 8, 0}) content += static_cast<char>(extent >> shift & 255u);
  }
  return content.append(values.begin(), values.end());
}

/// CIFAR records with these label bytes; channel c of pixel p of record r is (r + 50 c + p) mod 256.
inline std::string cifar(const std::vector<std::vector<std::uint8_t>>& label_bytes) {
  std::string content;
  for (std::size_t r = 0; r < label_bytes.size(); ++r) {
    content.append(label_bytes[r].begin(), label_bytes[r].end());
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t p = 0; p < 1024; ++p) content += static_cast<char>((r + 50 * c + p) & 255u);
    }
  }
  return content;
}

template <typename T>
std::string npy(const std::vector<T>& values, const Shape& shape) {
  const io::Bytes bytes = io::encode_npy(Tensor::from(values, shape, Device::cpu()));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace rtl::test
