#include "data/assemble.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <system_error>

#include "rtl/core/error.hpp"
#include "rtl/data/split.hpp"

namespace rtl::data {
namespace {

std::vector<std::int64_t> counted(std::int64_t count) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

}  // namespace

TrainTest assemble(const Spec& spec, const PartLoader& load_part) {
  const std::string split = spec.text("split");
  const std::int64_t offset = spec.whole("offset", 0);
  const std::int64_t limit = spec.whole("limit", INT64_MAX);
  const auto limited = [&](LoadedPart whole) -> LoadedPart {
    const std::int64_t size = whole.samples.size();
    if (offset == 0 && limit >= size) return whole;
    if (offset >= size) {
      throw ValueError(
          fmt::format("SPEC '{}': offset={} leaves nothing of {} samples", spec.to_string(), offset, size));
    }
    if (whole.rows.empty()) whole.rows = counted(size);
    const std::int64_t end = offset + std::min(limit, size - offset);
    return {slice_rows(whole.samples, offset, end), {whole.rows.begin() + offset, whole.rows.begin() + end}};
  };
  TrainTest parts;
  if (!split.empty()) {
    LoadedPart part = limited(load_part(split == "train" ? Part::train : Part::test));
    parts.test = part.samples.clone();
    parts.train = std::move(part.samples);
    parts.test_rows = part.rows;
    parts.train_rows = std::move(part.rows);
    return parts;
  }
  LoadedPart train = limited(load_part(Part::train)), test = load_part(Part::test);
  if (train.samples.sample_shape() != test.samples.sample_shape()) {
    throw FormatError(spec.path,
                      fmt::format("training samples are {}, test samples {}; they must have one shape",
                                  train.samples.sample_shape().to_string(), test.samples.sample_shape().to_string()));
  }
  if (train.samples.outputs() != test.samples.outputs()) {
    throw FormatError(spec.path, fmt::format("training samples have {} targets, test samples {}",
                                             train.samples.outputs(), test.samples.outputs()));
  }
  parts.train = std::move(train.samples);
  parts.test = std::move(test.samples);
  parts.train_rows = std::move(train.rows);
  parts.test_rows = std::move(test.rows);
  return parts;
}

TrainTest assemble_files(const Spec& spec, const std::function<Dataset(const std::string&, Part)>& read) {
  if (spec.has("test")) {
    const std::string& test = spec.options.at("test");
    return assemble(spec,
                    [&](Part part) -> LoadedPart { return {read(part == Part::train ? spec.path : test, part)}; });
  }
  constexpr double default_fraction = 0.2;
  const double fraction = spec.number("test_fraction", default_fraction);
  const auto seed = static_cast<std::uint64_t>(spec.whole("seed", 0));
  const Dataset whole = read(spec.path, Part::train);
  if (!whole.has_targets() && !spec.has("test_fraction") && !spec.has("seed")) {
    return assemble(spec, [&](Part) -> LoadedPart { return {whole.clone()}; });
  }
  Split split = whole.has_labels()
                    ? stratified_split(whole.labels.to_vector<std::int32_t>(), whole.classes, fraction, seed)
                    : random_split(whole.size(), fraction, seed);
  return assemble(spec, [&](Part part) -> LoadedPart {
    std::vector<std::int64_t>& rows = part == Part::train ? split.first : split.second;
    // Where classes are too small for the usual share, what needs a test part tells it.
    const bool wanted = part == Part::train || (fraction > 0 && spec.has("test_fraction"));
    if (rows.empty() && wanted) {
      throw ValueError(
          fmt::format("SPEC '{}': test_fraction={} leaves the {} part empty; take another fraction or "
                      "split={}",
                      spec.to_string(), fraction, part == Part::train ? "training" : "test",
                      part == Part::train ? "test" : "train"));
    }
    std::sort(rows.begin(), rows.end());
    return {whole.subset(rows), rows};
  });
}

Dataset slice_rows(const Dataset& dataset, std::int64_t begin, std::int64_t end) {
  const auto copied = [&](const Tensor& from) { return from.defined() ? from.rows(begin, end) : Tensor(); };
  Dataset part = dataset.without_tensors();
  if (dataset.is_sparse()) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(end - begin));
    std::iota(rows.begin(), rows.end(), begin);
    part.sparse = dataset.sparse.subset(rows);
  }
  part.inputs = copied(dataset.inputs);
  part.labels = copied(dataset.labels);
  part.targets = copied(dataset.targets);
  part.weights = copied(dataset.weights);
  return part;
}

std::vector<std::string> list_folder(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator entries(folder, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    std::error_code unknown;  // a file that cannot be examined is none
    if (entries->is_regular_file(unknown)) names.push_back(entries->path().filename().string());
  }
  if (error) throw IoError(folder, fmt::format("cannot be read as a folder: {}", error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace rtl::data
