// Texts with labels.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "core/by_name.hpp"
#include "data/array_labels.hpp"
#include "data/assemble.hpp"
#include "data/format.hpp"
#include "data/format_options.hpp"
#include "data/table_parts.hpp"
#include "data/text_files.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/text_encoder.hpp"
#include "rtl/io/file.hpp"

namespace rtl::data::formats {
namespace {

using namespace options;

constexpr const char* encoding_options[] = {"encode", "tokenizer", "vectors", "length",
                                            "words",  "min_count", "ngrams",  "case"};

TextEncoderOptions encoder_options(const Spec& spec) {
  TextEncoderOptions options;
  const std::string fallback = spec.has("vectors") ? "glove" : "tokens";
  options.encoding = parse_text_encoding(spec.text("encode", fallback));
  if (spec.has("tokenizer")) options.tokenizer = decode_path(spec.options.at("tokenizer"));
  if (spec.has("vectors")) options.vectors = decode_path(spec.options.at("vectors"));
  options.length = spec.whole("length", 0);
  options.words = {.lower_case = spec.text("case") != "keep",
                   .ngrams = spec.whole("ngrams", 1),
                   .least_count = spec.whole("min_count", 1),
                   .most_entries = spec.whole("words", -1)};
  return options;
}

class Loader {
 public:
  Loader(const Spec& spec, const Device& host) : spec_(spec), host_(host), classes_(spec.list("classes")) {}

  TrainTest load(std::shared_ptr<const TextEncoder> encoder) {
    // While parts are made, the numbers of the texts stand for them.
    TrainTest parts = assemble_files(spec_, [&](const std::string&, Part part) {
      return read(spec_.files(part == Part::test && spec_.has("test") ? "test" : ""));
    });
    const std::vector<std::string> train = texts_of(parts.train), test = texts_of(parts.test);
    const bool given = encoder != nullptr;
    if (!given) encoder = TextEncoder::fit(encoder_options(spec_), train);
    tell(*encoder, given);
    for (auto [part, texts] : {std::pair{&parts.train, &train}, {&parts.test, &test}}) {
      if (part->size() == 0 && texts->empty() && part->inputs.rank() == 0) continue;
      if (encoder->counts_words()) {
        set_counts(encoder->encode_sparse(*texts, host_), *part);
      } else {
        part->inputs = encoder->encode(*texts, host_);
      }
      part->vocabulary = encoder->vocabulary();
      part->fitted.text = encoder;
    }
    parts.notes = std::move(notes_);
    return parts;
  }

 private:
  void set_counts(SparseRows counts, Dataset& part) const {
    part.inputs = {};
    if (stays_sparse(parse_sparse_form(spec_.text("sparse", "auto")), counts)) {
      part.sparse = std::move(counts);
    } else {
      part.inputs = counts.dense("text: sparse=no makes");
    }
  }

  std::string content(const std::string& file) const {
    const io::Bytes bytes = io::read_file_gz(file);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  Dataset read(const std::vector<SpecFile>& files) {
    if (files.size() > 2) {
      throw ValueError(
          fmt::format("SPEC '{}': texts are one file, or two with the labels in the second", spec_.to_string()));
    }
    const std::string& file = files.front().path;
    TextFile read;
    if (files.size() == 2) {
      read.texts = parse_text_lines(file, content(file)).labels;
      read.labels = labels_of(files[1].path);
      if (read.labels.labels.size() != read.texts.size()) {
        throw FormatError(files[1].path, fmt::format("has {} labels, and {} has {} texts", read.labels.labels.size(),
                                                     file, read.texts.size()));
      }
    } else {
      read = parse_text_file(file, content(file), options_ ? *options_ : file_options());
      options_ = read.options;
      notes_.insert(notes_.end(), read.notes.begin(), read.notes.end());
    }
    return numbered(file, std::move(read));
  }

  TextFileOptions file_options() const {
    return {.label = spec_.text("label", spec_.has("text") ? "" : "detect"),
            .separator = by_name<char>(spec_.text("separator"), {{"tab", '\t'}, {"blank", ' '}}, '\0'),
            .column = spec_.text("text")};
  }

  LabelTexts labels_of(const std::string& file) {
    if (!file.ends_with(".npy")) return parse_text_lines(file, content(file));
    std::vector<std::string> notes;
    LabelTexts labels = array_labels(file, io::read_file(file), host_, notes);
    add_notes(notes_, file, notes);
    return labels;
  }

  /// Numbers of texts as inputs, of a vocabulary that holds them all.
  Dataset numbered(const std::string& file, TextFile read) {
    std::vector<std::int32_t> numbers;
    for (std::string& text : read.texts) {
      numbers.push_back(static_cast<std::int32_t>(texts_.size()));
      texts_.push_back(std::move(text));
    }
    const auto count = static_cast<std::int64_t>(numbers.size());
    Dataset samples;
    samples.inputs = Tensor::from(numbers, {count, 1}, host_);
    samples.vocabulary = INT32_MAX;
    if (read.labels.labels.empty()) return samples;
    if (wants_real_targets(spec_)) {
      samples.targets = real_targets(read.labels);
      return samples;
    }
    const bool forced = spec_.text("target") == "class";
    const EncodedLabels encoded = encode_labels(read.labels, classes_, forced ? CsvLabels::text : CsvLabels::detect);
    classes_ = encoded.classes;
    add_notes(notes_, file, encoded.notes);
    samples.labels = Tensor::from(encoded.labels, {count}, host_);
    samples.classes = static_cast<std::int64_t>(classes_.size());
    samples.class_names = classes_;
    return samples;
  }

  Tensor real_targets(const LabelTexts& labels) const {
    std::vector<float> values;
    for (std::size_t i = 0; i < labels.labels.size(); ++i) {
      const auto value = parse_number(labels.labels[i]);
      if (!value || !std::isfinite(static_cast<float>(*value))) {
        throw FormatError(labels.file, fmt::format("{} {}: the target {} is no number", labels.place, labels.places[i],
                                                   shown(labels.labels[i])));
      }
      values.push_back(static_cast<float>(*value));
    }
    return Tensor::from(values, {static_cast<std::int64_t>(values.size()), 1}, host_);
  }

  std::vector<std::string> texts_of(const Dataset& part) const {
    std::vector<std::string> texts;
    if (part.size() == 0) return texts;
    for (const std::int32_t number : part.inputs.to_vector<std::int32_t>()) {
      texts.push_back(texts_[static_cast<std::size_t>(number)]);
    }
    return texts;
  }

  void tell(const TextEncoder& encoder, bool given) {
    if (!given) {
      if (spec_.text("split") == "test" && !spec_.has("tokenizer") && encoder.encoding() != TextEncoding::glove) {
        notes_.push_back(fmt::format("{}: the vocabulary is that of the test part, with split=test", spec_.path));
      }
      return;
    }
    std::string unused;
    for (const char* option : encoding_options) {
      if (spec_.has(option)) unused += fmt::format("{}{}=", unused.empty() ? "" : ", ", option);
    }
    if (unused.empty()) return;
    notes_.push_back(
        fmt::format("{}: read as the model was trained, as {}; not used: {}", spec_.path, encoder.describe(), unused));
  }

  const Spec& spec_;
  std::optional<TextFileOptions> options_;  ///< as the first file was read
  const Device& host_;
  std::vector<std::string> texts_, notes_, classes_;
};

TrainTest load_encoded(const Spec& spec, const Device& host, const std::shared_ptr<const TextEncoder>& encoder) {
  return Loader(spec, host).load(encoder);
}

TrainTest load(const Spec& spec, const Device& host) { return load_encoded(spec, host, nullptr); }

std::string fault(const Spec& spec) {
  const std::string encode = spec.text("encode");
  const bool glove = encode == "glove";
  if (glove && !spec.has("vectors")) return "encode=glove needs the vectors of words: vectors=FILE";
  if (!encode.empty() && !glove && spec.has("vectors")) return "vectors= are for encode=glove";
  if (spec.text("sparse") == "yes" && !is_one_of(encode, {"bag", "tfidf"})) {
    return "sparse=yes is for encode=bag and encode=tfidf";
  }
  if (!is_one_of(encode, {"", "tokens"}) && spec.has("tokenizer")) return "tokenizer= is for encode=tokens";
  const bool labels = spec.text("label") != "none";
  if (spec.files().size() < 2 && !labels) return fault_of_labels(spec, false, "label=first or label=last");
  const std::string fault = fault_of_labels(spec, true, "");
  return fault.empty() ? fault_of_test_part(spec) : fault;
}

SpecKind kind() {
  constexpr double most_words = 1 << 24, most_tokens = 1 << 16;
  return {
      "text", "FILE[,LABELS]", 2,
      "texts: a label and a text a line, or texts in one file and their labels in the other, or a column of a table",
      together(
          {{choice(
                "encode", {"tokens", "glove", "bag", "tfidf"},
                "what becomes of a text: the numbers of its tokens, the mean of its words' vectors, counts of words, "
                "or TF-IDF; tokens if not given"),
            text(
                "tokenizer", "FILE",
                "of tokens: tokenizer.json, vocab.txt of BERT, or pieces with scores (.tsv); if not given words, whose "
                "vocabulary is that of the training part"),
            text("vectors", "FILE", "of glove: vectors.npy with words.txt beside it, or GloVe's text format"),
            whole("length", 1, most_tokens,
                  "of tokens: texts are cut there; if not given as many as the longest training text has, but 256 at "
                  "most"),
            whole("words", 1, most_words,
                  "of the vocabulary the N most frequent; if not given all, and 10,000 of bag and tfidf"),
            whole("min_count", 1, most_words, "words that occur less often are unknown; 1 if not given"),
            whole("ngrams", 1, 2, "2 takes pairs of neighbouring words, too; 1 if not given"),
            choice("case", {"lower", "keep"}, "whether words are read in lower case; lower if not given"),
            text("label", "first|last|none|COLUMN",
                 "where a line has its label, or the column of labels of a table; found out if not given, and of a "
                 "table "
                 "none",
                 true),
            choice("separator", {"tab", "blank"}, "what parts label and text; found out if not given"),
            text("text", "COLUMN", "the file is a table (.csv, .tsv) with a head line, and this the column of texts"),
            list("classes", "NAME", "the classes in order; those that occur if not given")},
           sparse(),
           target(),
           test_part(),
           parts()})};
}

}  // namespace

const Format& text() {
  static const Format format{.kind = kind(), .load = load, .fault = fault, .load_encoded = load_encoded};
  return format;
}

}  // namespace rtl::data::formats
