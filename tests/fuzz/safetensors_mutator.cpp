// Mutates the header and the data of a safetensors file apart, and writes the header's length anew, so that most
// mutants reach the JSON and what is behind it.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  constexpr std::size_t prefix = 8;
  std::uint64_t length = 0;
  if (size > prefix) std::memcpy(&length, data, prefix);
  const bool whole = size > prefix && length > 0 && length <= size - prefix;
  if (!whole || most <= size || seed % 8 == 0) return LLVMFuzzerMutate(data, size, most);
  const std::size_t room = most - size;
  std::string header(reinterpret_cast<const char*>(data) + prefix, length);
  std::string values(reinterpret_cast<const char*>(data) + prefix + length, size - prefix - length);
  std::string& part = seed % 4 == 1 && !values.empty() ? values : header;
  const std::size_t before = part.size();
  part.resize(before + room);
  part.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(part.data()), before, before + room));
  length = header.size();
  std::memcpy(data, &length, prefix);
  std::copy(header.begin(), header.end(), data + prefix);
  std::copy(values.begin(), values.end(), data + prefix + header.size());
  return prefix + header.size() + values.size();
}
