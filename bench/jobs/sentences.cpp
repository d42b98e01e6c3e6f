// Embeddings of 1,000 sentences of SST-2 by MiniLM, from texts to vectors.
#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "job_data.hpp"
#include "jobs.hpp"
#include "rtl/data/text_encoder.hpp"
#include "rtl/io/file.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/transfer/source.hpp"

namespace rtl::bench {
namespace {

constexpr std::size_t sentence_count = 1000;

/// Without the label in front.
std::vector<std::string> sentences() {
  const io::Bytes bytes = io::read_file_gz(sentences_file());
  std::istringstream lines(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  std::vector<std::string> texts;
  for (std::string line; texts.size() < sentence_count && std::getline(lines, line);) texts.push_back(line.substr(2));
  return texts;
}

struct Embedding {
  Embedding(const Device& on, Precision precision)
      : device(on),
        texts(sentences()),
        encoder(data::TextEncoder::fit({.tokenizer = minilm_folder() + "/tokenizer.json", .length = 256}, texts)),
        source(layers::load_network(minilm_folder() + "/model.safetensors", device).network, {}, "MiniLM", precision) {}

  void run() {
    data::Dataset dataset;
    dataset.name = "sentences";
    dataset.inputs = encoder->encode(texts, device);
    dataset.vocabulary = encoder->vocabulary();
    embeddings = source.features(dataset);
  }
  /// Of a sentence, in the mean.
  double multiplications() {
    constexpr double layers = 6, width = 384, hidden = 1536;
    double all = 0;
    const std::vector<std::int32_t> ids = encoder->encode(texts, device).to_vector<std::int32_t>();
    const std::size_t longest = ids.size() / texts.size();
    for (std::size_t begin = 0; begin < ids.size(); begin += longest) {
      const auto row = ids.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto tokens = static_cast<double>(std::find(row, row + static_cast<std::ptrdiff_t>(longest), -1) - row);
      all += layers * tokens * (4 * width * width + 2 * width * hidden + 2 * tokens * width);
    }
    return all / static_cast<double>(texts.size());
  }

  Device device;
  std::vector<std::string> texts;
  std::shared_ptr<const data::TextEncoder> encoder;
  transfer::FrozenSource source;
  Tensor embeddings;
};

Job embedding_job(const char* name, const Settings& settings, Precision precision) {
  const auto state = std::make_shared<Embedding>(Device::cpu(settings.threads), precision);
  if (!settings.data_folder.empty()) {
    std::ofstream file(settings.data_folder + "/sentences.txt");
    for (const std::string& text : state->texts) file << text << "\n";
  }
  return {.name = name,
          .unit = "texts/s",
          .units = sentence_count,
          .flop = 2 * state->multiplications(),
          .arithmetic = "products of the tokens that there are, without padding; tokenizing not counted",
          .bf16 = precision == Precision::bf16,
          .run = [state] { state->run(); },
          .result = [state] { return first_numbers(state->embeddings); }};
}

}  // namespace

Job minilm_sentences(const Settings& settings) { return embedding_job("minilm_sentences", settings, Precision::f32); }
Job minilm_sentences_bf16(const Settings& settings) {
  return embedding_job("minilm_sentences_bf16", settings, Precision::bf16);
}

}  // namespace rtl::bench
