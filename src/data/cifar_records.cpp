#include "data/cifar_records.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::data {
namespace {

constexpr std::int64_t side = 32;
constexpr std::int64_t channels = 3;
constexpr std::int64_t plane = side * side;

bool is_record_file(const std::string& name) { return name.ends_with(".bin") || name.ends_with(".bin.gz"); }

/// The first of `names`, plain or .gz, that the folder has.
std::string find_named(const std::vector<std::string>& files, const std::string& name) {
  for (const std::string& candidate : {name, name + ".gz"}) {
    if (std::find(files.begin(), files.end(), candidate) != files.end()) return candidate;
  }
  return {};
}

/// The files of one part, in reading order: the official ones, else the only one with _train_ or _test_ in its name.
std::vector<std::string> find_files(const Spec& spec, const CifarFiles& known, Part part) {
  const std::vector<std::string> files = list_folder(spec.file());
  const std::vector<std::string>& official = part == Part::train ? known.train : known.test;
  std::vector<std::string> found;
  std::string missing;
  for (const std::string& name : official) {
    const std::string file = find_named(files, name);
    if (file.empty()) missing = name;
    if (!file.empty()) found.push_back(file);
  }
  if (!found.empty() && !missing.empty())
    throw IoError(spec.file() + "/" + missing, "is missing beside " + found.front());
  if (found.empty()) {
    const std::string tag = part == Part::train ? "_train_" : "_test_";
    std::copy_if(files.begin(), files.end(), std::back_inserter(found),
                 [&](const std::string& name) { return is_record_file(name) && name.find(tag) != std::string::npos; });
    if (found.size() != 1) {
      throw IoError(spec.file(),
                    fmt::format("{} for the {} part of {}: looked for {} and *{}*.bin, plain or .gz",
                                found.empty() ? "there is no file" : "several files fit",
                                part == Part::train ? "training" : "test", spec.kind, official.front(), tag));
    }
  }
  return found;
}

/// Appends the records of one file.
void append_records(const std::string& file, const CifarFiles& known, std::vector<std::uint8_t>& images,
                    std::vector<std::int32_t>& labels) {
  const io::Bytes content = io::read_file_gz(file);
  const auto record = static_cast<std::size_t>(known.label_bytes + channels * plane);
  if (content.empty() || content.size() % record != 0) {
    throw FormatError(file,
                      fmt::format("{} bytes are no multiple of the record's {}; the file is cut short or of another "
                                  "format",
                                  content.size(), record));
  }
  const std::size_t count = content.size() / record;
  const std::size_t first = labels.size();
  images.resize((first + count) * static_cast<std::size_t>(channels * plane));
  for (std::size_t i = 0; i < count; ++i) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(content.data()) + i * record;
    const std::int32_t label = from[known.label_at];
    if (label >= known.classes) {
      throw FormatError(file, fmt::format("record {}: label {} out of range [0, {})", i, label, known.classes));
    }
    labels.push_back(label);
    const std::uint8_t* planes = from + known.label_bytes;
    std::uint8_t* to = images.data() + (first + i) * static_cast<std::size_t>(channels * plane);
    for (std::int64_t pixel = 0; pixel < plane; ++pixel) {
      for (std::int64_t c = 0; c < channels; ++c) *to++ = planes[c * plane + pixel];
    }
  }
}

/// Class names from the first of the usual text files that is there.
std::vector<std::string> class_names(const Spec& spec, const CifarFiles& known) {
  for (const std::string& candidate : known.class_names) {
    const std::string file = spec.file() + "/" + candidate;
    if (!io::file_exists(file)) continue;
    const io::Bytes content = io::read_file(file, 1 << 20);
    std::string_view rest(reinterpret_cast<const char*>(content.data()), content.size());
    std::vector<std::string> names;
    while (!rest.empty()) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty()) names.emplace_back(line);
    }
    if (names.size() != static_cast<std::size_t>(known.classes)) {
      throw FormatError(file, fmt::format("names {} classes, where there are {}", names.size(), known.classes));
    }
    return names;
  }
  return {};
}

}  // namespace

TrainTest load_cifar(const Spec& spec, const CifarFiles& known, const Device& host) {
  return assemble(spec, [&](Part part) -> LoadedPart {
    std::vector<std::uint8_t> images;
    std::vector<std::int32_t> labels;
    for (const std::string& file : find_files(spec, known, part)) {
      append_records(spec.file() + "/" + file, known, images, labels);
    }
    const auto count = static_cast<std::int64_t>(labels.size());
    return {{Tensor::from(images, {count, side, side, channels}, host), Tensor::from(labels, {count}, host),
             known.classes, class_names(spec, known), ""}};
  });
}

}  // namespace rtl::data
