#include "studies/transfer_table/pretrained.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "rtl/core/random.hpp"
#include "rtl/data/images.hpp"
#include "rtl/data/load.hpp"
#include "studies/transfer_table/tables.hpp"

namespace rtl::studies::transfer_table {
namespace {

constexpr std::int64_t small_pool = 2000, large_pool = 5000;
constexpr std::int64_t image_extent = 96;  ///< that EfficientNet-Lite0 is given
constexpr std::int64_t tokens = 64;        ///< of a text, at most

struct Texts {
  const char* files;
  bool has_test_part;
};

const Texts& texts_of(const std::string& target) {
  static const std::unordered_map<std::string, Texts> all{
      {"sst2", {"sst2/stsa.binary.train.gz?test={0}/sst2/stsa.binary.test.gz&label=first", true}},
      {"trec", {"trec/TREC.train.all.gz?test={0}/trec/TREC.test.all.gz&label=first", true}},
      {"spam", {"sms_spam/SMSSpamCollection.gz?split=train&label=first", false}},
      {"amazon", {"uci_sentences/amazon_cells_labelled.txt?split=train&label=last", false}},
      {"imdb", {"uci_sentences/imdb_labelled.txt?split=train&label=last", false}},
      {"yelp", {"uci_sentences/yelp_labelled.txt?split=train&label=last", false}}};
  return all.at(target);
}

/// Of one part's texts, as h and as the network see them, those that are drawn.
void add_rows(const data::Dataset& vectors, const data::Dataset& seen, std::int64_t most, Domain& domain,
              std::vector<std::int64_t>& labels, std::vector<std::int32_t>& numbers) {
  const auto x = vectors.inputs.to_vector<float>();
  const auto y = domains::label_values(vectors.labels);
  const auto all = seen.inputs.to_vector<std::int32_t>();
  const std::int64_t width = vectors.inputs.extent(1), length = seen.inputs.extent(1);
  for (const std::int64_t row : RandomSequence(tables_seed, 4).permutation(vectors.size())) {
    if (most-- == 0) break;
    domain.x.insert(domain.x.end(), x.begin() + row * width, x.begin() + (row + 1) * width);
    numbers.insert(numbers.end(), all.begin() + row * length, all.begin() + (row + 1) * length);
    numbers.resize(labels.size() * tokens + tokens, -1);
    labels.push_back(y[static_cast<std::size_t>(row)]);
  }
}

Table text_table(const Folders& folders, const Setting& setting) {
  const Device host = Device::cpu(1);
  const Texts& texts = texts_of(setting.target);
  const std::string root = folders.data + "/text";
  const std::string spec = fmt::format("text:{}/{}", root, fmt::format(fmt::runtime(texts.files), root));
  const std::string tokenizer =
      setting.source == "MiniLM" ? folders.minilm + "/tokenizer.json" : folders.data + "/models/stories260K.vocab.tsv";
  const data::TrainTest vectors =
      data::load(fmt::format("{}&encode=glove&vectors={}/glove_6B_50d/vectors.npy", spec, root), host);
  const data::TrainTest seen = data::load(fmt::format("{}&tokenizer={}&length={}", spec, tokenizer, tokens), host);
  Table table;
  Domain& domain = table.domain;
  std::vector<std::int64_t> labels;
  std::vector<std::int32_t> numbers;
  add_rows(vectors.train, seen.train, large_pool + most_test_rows, domain, labels, numbers);
  if (texts.has_test_part) {
    domain.training_rows = static_cast<std::int64_t>(labels.size());
    add_rows(vectors.test, seen.test, most_test_rows, domain, labels, numbers);
  }
  domain.name = setting.target;
  domain.features = vectors.train.inputs.extent(1);
  domain.rows = domain.source_rows = static_cast<std::int64_t>(labels.size());
  if (!texts.has_test_part) domain.training_rows = domain.rows;
  domains::set_classes(domain, labels, vectors.train.classes);
  table.network_inputs.inputs = Tensor::from(numbers, {domain.rows, tokens}, host);
  table.network_inputs.vocabulary = seen.train.vocabulary;
  return table;
}

Table images_of(const Folders& folders, const Setting& setting) {
  const bool known = setting.target == "cifar10" || setting.target == "fashion";
  Table table = known ? image_table(folders.data, setting.target, large_pool)
                      : cifar100_table(folders.data, setting.target, large_pool);
  Tensor& inputs = table.network_inputs.inputs;
  const Tensor colour = data::with_channels(inputs, 3);
  inputs = data::resized(colour, image_extent, image_extent);
  return table;
}

}  // namespace

bool is_published(const Setting& setting) {
  return setting.family == "cifar100" || setting.family.starts_with("pretrained");
}

std::string checkpoint_of(const Folders& folders, const Setting& setting) {
  if (setting.source == "MiniLM") return folders.minilm + "/model.safetensors";
  static const std::unordered_map<std::string, const char*> files{{"ResNet-20", "resnet20_cifar10"},
                                                                  {"ResNet-56", "resnet56_cifar10"},
                                                                  {"EfficientNet-Lite0", "efficientnet_lite0_imagenet"},
                                                                  {"stories260K", "stories260K"}};
  return fmt::format("{}/models/{}.safetensors", folders.data, files.at(setting.source));
}

Table published_target(const Folders& folders, const Setting& setting) {
  if (setting.family == "cifar100") return cifar100_table(folders.data, setting.target, small_pool);
  return setting.family == "pretrained-texts" ? text_table(folders, setting) : images_of(folders, setting);
}

}  // namespace rtl::studies::transfer_table
