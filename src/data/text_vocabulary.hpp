// What an encoder of texts has learnt, for people to read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/data/text_encoder.hpp"

namespace rtl::data {

/// An entry of a vocabulary, and what its counts are multiplied by.
struct WeightedEntry {
  std::string entry;
  double weight = 1;
};

/// The first `most` entries of bag and tfidf, by falling frequency in the training texts; of other encodings none.
std::vector<WeightedEntry> most_frequent_entries(const TextEncoder& encoder, std::size_t most);

}  // namespace rtl::data
