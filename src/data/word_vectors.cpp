#include "data/word_vectors.hpp"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <utility>

#include "data/text_table.hpp"
#include "data/tokenizers.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/tensor.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::data {
namespace {

constexpr std::int64_t widest = 1 << 16;

std::string text_of(const io::Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::shared_ptr<const Tokenizer> vocabulary(const std::string& words, const std::string& file) {
  return tokenizers::parse_words("rtl words 1 lower 1\n" + words, file);
}

WordVectors read_array(const std::string& path) {
  const io::Bytes bytes = io::read_file_gz(path);
  const Tensor array = io::parse_npy(bytes, path, Device::cpu(1).separate());
  if (array.rank() != 2 || array.dtype() != DType::f32 || array.count() == 0 || array.extent(1) > widest) {
    throw FormatError(path, fmt::format("holds {} {}; vectors of words are f32 [words, width]", name_of(array.dtype()),
                                        array.shape().to_string()));
  }
  const std::string beside = (std::filesystem::path(path).parent_path() / "words.txt").string();
  WordVectors read{nullptr, array.to_vector<float>(), array.extent(1)};
  read.words = vocabulary(text_of(io::read_file(beside)), beside);
  if (read.words->vocabulary() - 1 != array.extent(0)) {
    throw FormatError(beside, fmt::format("has {} words, and {} has {} vectors", read.words->vocabulary() - 1, path,
                                          array.extent(0)));
  }
  for (std::size_t i = 0; i < read.values.size(); ++i) {
    if (std::isfinite(read.values[i])) continue;
    throw FormatError(path,
                      fmt::format("vector {} has {}", i / static_cast<std::size_t>(read.columns), read.values[i]));
  }
  return read;
}

WordVectors read_text(const std::string& path) {
  const std::string content = text_of(io::read_file_gz(path));
  WordVectors read;
  std::string words;
  std::string_view rest = content, line;
  for (std::int64_t at = 1; tokenizers::take_line(rest, line); ++at) {
    const std::size_t end = std::min(line.find(' '), line.size());
    words.append(line.substr(0, end)).push_back('\n');
    std::int64_t columns = 0;
    for (line.remove_prefix(end); !line.empty(); ++columns) {
      line.remove_prefix(1);
      const std::string_view number = line.substr(0, line.find(' '));
      const auto value = parse_number(number);
      if (!value || !std::isfinite(static_cast<float>(*value))) {
        throw FormatError(path, fmt::format("line {}: {} is no number of a vector", at, shown(number)));
      }
      read.values.push_back(static_cast<float>(*value));
      line.remove_prefix(number.size());
    }
    if (at == 1) read.columns = columns;
    if (columns != read.columns || columns == 0 || columns > widest) {
      throw FormatError(
          path, fmt::format("line {}: a vector of {} numbers; the first line has {}", at, columns, read.columns));
    }
  }
  if (read.columns == 0) throw FormatError(path, "is empty; a word and its vector a line are needed");
  read.words = vocabulary(words, path);
  return read;
}

}  // namespace

WordVectors read_word_vectors(const std::string& path) {
  return path.ends_with(".npy") || path.ends_with(".npy.gz") ? read_array(path) : read_text(path);
}

}  // namespace rtl::data
