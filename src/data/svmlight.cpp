#include "rtl/data/svmlight.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "data/text_table.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::data {
namespace {

constexpr std::int64_t most_features = std::int64_t{1} << 31;

constexpr std::int64_t batch_rows = 256;

/// Collects the entries of all lines, for the width may show in the last one only.
class SvmlightParser {
 public:
  SvmlightParser(const std::string& file, std::int64_t features, const SvmlightOptions& options)
      : file_(file),
        features_(features),
        first_index_(options.first_index),
        limit_(options.dense_limit),
        form_(options.sparse) {}

  void parse(std::string_view text) {
    constexpr std::int64_t least = std::int64_t{64} << 20, multiple = 1000;
    constexpr std::int64_t largest = io::default_read_limit;
    const auto bytes = static_cast<std::int64_t>(text.size());
    if (limit_ == 0) limit_ = std::max(least, bytes > largest / multiple ? largest : bytes * multiple);
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      ++line_;
      parse_line(trimmed(line.substr(0, line.find('#'))));
    }
  }

  SvmlightData finish(const Device& host) {
    if (targets_.empty()) throw FormatError(file_, "holds no sample");
    const std::int64_t width = features_ > 0 ? features_ : widest_;
    if (width == 0) throw FormatError(file_, "holds no feature");
    const auto rows = static_cast<std::int64_t>(targets_.size());
    SparseRows sparse(width, offsets_, columns_, values_, host);
    const bool stays = stays_sparse(form_, sparse);
    check_size(rows, width, stays);
    SvmlightData read{{}, {}, Tensor::from(targets_, {rows}, host), std::move(lines_)};
    if (stays) {
      read.sparse = std::move(sparse);
    } else {
      read.features = sparse.dense("read_svmlight: makes", static_cast<double>(limit_));
    }
    return read;
  }

 private:
  void check_size(std::int64_t rows, std::int64_t width, bool sparse) const {
    const std::int64_t together = sparse ? std::min(rows, batch_rows) : rows;
    const double bytes = static_cast<double>(together) * static_cast<double>(width) * sizeof(float);
    if (bytes <= static_cast<double>(limit_)) return;
    constexpr double mebibyte = 1 << 20;
    throw FormatError(
        file_,
        fmt::format("{}{} samples of {} features{} would take {:.0f} MiB in dense form, where {:.0f} are allowed; "
                    "if the indices are right, dense_mib={:.0f} allows it, and features=N refuses larger ones",
                    together < rows ? "a batch of " : "", together, width,
                    features_ > 0 ? "" : fmt::format(" (line {} has the largest index)", widest_line_),
                    bytes / mebibyte, static_cast<double>(limit_) / mebibyte, std::ceil(bytes / mebibyte)));
  }

  [[noreturn]] void fail(const std::string& fault) const {
    throw FormatError(file_, fmt::format("line {}: {}", line_, fault));
  }

  static std::string_view take_word(std::string_view& line) {
    const std::string_view word = line.substr(0, line.find_first_of(" \t"));
    line = trimmed(line.substr(word.size()));
    return word;
  }

  double finite(std::string_view text, const char* what) const {
    const auto number = parse_number(text);
    if (!number) fail(fmt::format("the {} {} is no number", what, shown(text)));
    if (!std::isfinite(*number)) fail(fmt::format("the {} {} is not finite", what, shown(text)));
    return *number;
  }

  double parse_target(std::string_view text) const {
    if (text.find(',') != std::string_view::npos) {
      fail(fmt::format("the target {} is several labels; one a sample is read", shown(text)));
    }
    return finite(text, "target");
  }

  void parse_line(std::string_view line) {
    if (line.empty()) return;
    targets_.push_back(parse_target(take_word(line)));
    lines_.push_back(line_);
    std::int64_t last = -1;
    while (!line.empty()) {
      const std::string_view word = take_word(line);
      if (word.starts_with("qid:")) continue;
      const auto colon = word.find(':');
      if (colon == std::string_view::npos) fail(fmt::format("{} is not index:value", shown(word)));
      const std::int64_t column = parse_index(word.substr(0, colon));
      if (column <= last) {
        fail(fmt::format("index {} {}; indices must ascend", column + first_index_,
                         column == last ? "is there twice" : "stands behind a larger one"));
      }
      last = column;
      const std::string_view text = word.substr(colon + 1);
      const auto value = static_cast<float>(finite(text, "value"));
      if (!std::isfinite(value)) fail(fmt::format("the value {} is too large for float32", shown(text)));
      if (value == 0 && !std::signbit(value)) continue;
      columns_.push_back(static_cast<std::int32_t>(column));
      values_.push_back(value);
    }
    if (last >= widest_) widest_ = last + 1, widest_line_ = line_;
    offsets_.push_back(static_cast<std::int64_t>(values_.size()));
  }

  std::int64_t parse_index(std::string_view text) const {
    std::int64_t index = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
      fail(fmt::format("the index {} is no whole number", shown(text)));
    }
    const std::int64_t highest = (features_ > 0 ? features_ : most_features) - 1 + first_index_;
    if (error != std::errc{} || index < first_index_ || index > highest) {
      fail(fmt::format("index {} out of range [{}, {}]{}", text, first_index_, highest,
                       error == std::errc{} && index == 0 && first_index_ == 1
                           ? "; this file counts from 0: say first_index=0"
                           : ""));
    }
    return index - first_index_;
  }

  const std::string& file_;
  std::int64_t features_;
  std::int64_t first_index_;
  std::int64_t limit_;  ///< bytes of what is dense
  SparseForm form_;
  std::int64_t line_ = 0;
  std::int64_t widest_ = 0;
  std::int64_t widest_line_ = 0;
  std::vector<double> targets_;
  std::vector<std::int64_t> lines_;
  std::vector<std::int64_t> offsets_{0};
  std::vector<std::int32_t> columns_;
  std::vector<float> values_;
};

}  // namespace

SvmlightData read_svmlight(const std::string& path, std::int64_t features, const SvmlightOptions& options,
                           const Device& device) {
  if (features < 0 || features > most_features) {
    throw ValueError(fmt::format("read_svmlight: features is {}; give 0 (as many as the file needs) to {}", features,
                                 most_features));
  }
  if (options.first_index != 0 && options.first_index != 1) {
    throw ValueError(fmt::format("read_svmlight: first_index is {}; it is 0 or 1", options.first_index));
  }
  if (options.dense_limit < 0) {
    throw ValueError(fmt::format("read_svmlight: dense_limit is {}; give bytes, or 0", options.dense_limit));
  }
  const io::Bytes content = io::read_file_gz(path);
  SvmlightParser parser(path, features, options);
  parser.parse(std::string_view(reinterpret_cast<const char*>(content.data()), content.size()));
  return parser.finish(device.host());
}

}  // namespace rtl::data
