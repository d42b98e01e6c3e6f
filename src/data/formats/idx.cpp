// The idx format of MNIST and its relatives: a magic number (type and rank), big-endian extents, then the values.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "data/assemble.hpp"
#include "data/format.hpp"
#include "data/format_options.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/file_memory.hpp"
#include "rtl/io/file.hpp"

namespace rtl::data::formats {
namespace {

using namespace options;

struct IdxFile {
  std::vector<std::int64_t> extents;
  std::span<const std::uint8_t> values;  ///< of the content that was parsed
};

IdxFile parse_idx(const std::string& file, std::span<const std::byte> content, int least_rank, int most_rank) {
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
  constexpr std::size_t magic_bytes = 4;
  constexpr std::uint8_t unsigned_byte = 8;
  if (bytes.size() < magic_bytes)
    throw FormatError(file, fmt::format("has {} bytes, too few for an idx file", bytes.size()));
  const int rank = bytes[3];
  if (bytes[0] != 0 || bytes[1] != 0 || bytes[2] != unsigned_byte || rank < least_rank || rank > most_rank) {
    throw FormatError(file, fmt::format("wrong magic number {:02x}{:02x}{:02x}{:02x}: expected 000008 and rank {}{}",
                                        bytes[0], bytes[1], bytes[2], bytes[3], least_rank,
                                        most_rank > least_rank ? fmt::format(" or {}", most_rank) : ""));
  }
  const std::size_t header = magic_bytes + 4 * static_cast<std::size_t>(rank);
  if (bytes.size() < header) throw FormatError(file, "is cut short in its header");
  IdxFile parsed;
  for (std::size_t at = magic_bytes; at < header; at += 4) {
    parsed.extents.push_back(std::int64_t{bytes[at]} << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]);
  }
  parsed.values = bytes.subspan(header);
  std::int64_t count = 0;
  try {
    count = Shape(parsed.extents).count();
  } catch (const ShapeError& error) {
    throw FormatError(file, fmt::format("impossible extents: {}", error.what()));
  }
  if (static_cast<std::uint64_t>(count) != parsed.values.size()) {
    throw FormatError(file, fmt::format("the header announces {} = {} values, but {} follow",
                                        Shape(parsed.extents).to_string(), count, parsed.values.size()));
  }
  if (count == 0) throw FormatError(file, "holds no value");
  return parsed;
}

/// The file of a part whose name says what it holds: "train-images-idx3-ubyte", "t10k-labels.idx1-ubyte.gz",
/// "usps_test_images.gz", ...
std::string find_file(const Spec& spec, Part part, const std::string& what) {
  std::vector<std::string> found;
  for (const std::string& name : list_folder(spec.file())) {
    const bool of_test = name.find("t10k") != std::string::npos || name.find("test") != std::string::npos;
    const bool of_part = part == Part::test ? of_test : !of_test && name.find("train") != std::string::npos;
    if (of_part && name.find(what) != std::string::npos) found.push_back(name);
  }
  const bool both_forms = found.size() == 2 && found[1] == found[0] + ".gz";
  if (found.size() == 1 || both_forms) return spec.file() + "/" + found.front();
  throw IoError(
      spec.file(),
      fmt::format("{} for the {} {}: looked for {}-{}-idx*-ubyte or names with {} and {}, plain or .gz",
                  found.empty() ? "there is no file" : "several files fit", part == Part::train ? "training" : "test",
                  what, part == Part::train ? "train" : "t10k", what, part == Part::train ? "train" : "test", what));
}

std::vector<std::int32_t> read_labels(const std::string& file) {
  const io::Bytes content = io::read_file_gz(file);
  const IdxFile parsed = parse_idx(file, content, 1, 1);
  return {parsed.values.begin(), parsed.values.end()};
}

/// u8 [N, H, W, C]; what is more than memory should hold stays in its file, if that is plain.
Tensor read_images(const std::string& file, const Device& host) {
  std::error_code unknown;
  const auto bytes = std::filesystem::file_size(file, unknown);
  const bool stays = !unknown && bytes > in_memory_limit() && !file.ends_with(".gz");
  const std::optional<io::MappedFile> mapped = stays ? std::optional<io::MappedFile>(file) : std::nullopt;
  const io::Bytes read = stays ? io::Bytes() : io::read_file_gz(file);
  const std::span<const std::byte> content = stays ? mapped->bytes() : std::span<const std::byte>(read);
  const IdxFile images = parse_idx(file, content, 3, 4);
  const std::vector<std::int64_t>& extents = images.extents;
  const Shape shape{extents[0], extents[1], extents[2], extents.size() == 4 ? extents[3] : 1};
  if (!stays) return Tensor::from(images.values, shape, host);
  return {mapped->memory(content.size() - images.values.size(), images.values.size()), 0, shape, DType::u8, host};
}

/// With `classes` given, each label is in [0, classes); else the labels are 0 .. K-1 with each occurring, and K is
/// returned. Throws FormatError naming `file`, the sample and its label.
std::int64_t check_labels(const std::vector<std::int32_t>& labels, std::optional<std::int64_t> classes,
                          const std::string& file) {
  if (labels.empty()) throw FormatError(file, "holds no sample");
  std::int32_t highest = -1;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || (classes && labels[i] >= *classes)) {
      throw FormatError(file, fmt::format("sample {}: label {} out of range [0, {})", i, labels[i],
                                          classes ? std::to_string(*classes) : "classes"));
    }
    highest = std::max(highest, labels[i]);
  }
  if (classes) return *classes;
  // Labels without gaps tell the number of classes; one wild label would invent classes that nobody has.
  const std::size_t implied = static_cast<std::size_t>(highest) + 1;
  std::vector<bool> seen(std::min(implied, labels.size() + 1));
  for (const std::int32_t label : labels) {
    if (static_cast<std::size_t>(label) < seen.size()) seen[static_cast<std::size_t>(label)] = true;
  }
  const auto gap = std::find(seen.begin(), seen.end(), false);
  if (gap != seen.end()) {
    const auto at = std::max_element(labels.begin(), labels.end()) - labels.begin();
    throw FormatError(
        file, fmt::format("sample {}: label {} out of range: no sample has label {}; if there are such classes, "
                          "say so with the option classes=N",
                          at, highest, gap - seen.begin()));
  }
  return static_cast<std::int64_t>(implied);
}

TrainTest load(const Spec& spec, const Device& host) {
  std::optional<std::int64_t> classes;
  if (spec.has("classes")) classes = spec.whole("classes", 0);
  return assemble(spec, [&](Part part) -> LoadedPart {
    const std::string image_file = find_file(spec, part, "images");
    const std::string label_file = find_file(spec, part, "labels");
    Tensor images = read_images(image_file, host);
    const std::vector<std::int32_t> labels = read_labels(label_file);
    const auto count = static_cast<std::int64_t>(labels.size());
    if (images.extent(0) != count) {
      throw FormatError(label_file,
                        fmt::format("has {} labels for {} images in {}", count, images.extent(0), image_file));
    }
    // The training labels, read first where both parts are wanted, fix the classes for the test labels.
    classes = check_labels(labels, classes, label_file);
    return {{std::move(images), Tensor::from(labels, {count}, host), *classes, {}, ""}};
  });
}

SpecKind kind() {
  return {
      "idx", "DIR", 1, "images in the format of MNIST",
      together({{whole("classes", 1, 256, "the number of classes, where not all of them occur")}, images(), parts()})};
}

}  // namespace

const Format& idx() {
  static const Format format{kind(), load};
  return format;
}

}  // namespace rtl::data::formats
