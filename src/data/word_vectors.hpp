// Published vectors of words.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rtl/data/tokenizer.hpp"

namespace rtl::data {

struct WordVectors {
  std::shared_ptr<const Tokenizer> words;  ///< token i + 1 has the vector i
  std::vector<float> values;               ///< [words, columns]
  std::int64_t columns = 0;
};

/// As TextEncoderOptions::vectors says. Words are in lower case. Throws IoError; FormatError, naming file and line, for
/// rows of other lengths, words that are there twice, and numbers that are not finite.
WordVectors read_word_vectors(const std::string& path);

}  // namespace rtl::data
