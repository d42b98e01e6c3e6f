#include "data/text_vocabulary.hpp"

#include <sstream>

#include "io/json.hpp"

namespace rtl::data {

std::vector<WeightedEntry> most_frequent_entries(const TextEncoder& encoder, std::size_t most) {
  std::vector<WeightedEntry> entries;
  if (!encoder.counts_words()) return entries;
  // An encoder as text has its vocabulary, a line an entry behind a head line, and the weights in the same order.
  const io::Json json = io::parse_json("", encoder.to_text(), "the encoder of texts");
  std::istringstream lines(json.at("tokenizer").get<std::string>());
  std::string line;
  std::getline(lines, line);
  while (entries.size() < most && std::getline(lines, line)) {
    const double weight = json.contains("weights") ? json["weights"].at(entries.size()).get<double>() : 1;
    entries.push_back({line, weight});
  }
  return entries;
}

}  // namespace rtl::data
