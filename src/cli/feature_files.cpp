#include "cli/feature_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "cli/array_argument.hpp"
#include "cli/commands.hpp"
#include "cli/data_argument.hpp"
#include "data/array_inputs.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::cli {

namespace {

using Rows = std::vector<std::int64_t>;

std::string joined(const std::vector<std::string>& parts) { return fmt::format("{}", fmt::join(parts, ", ")); }

bool is_text_table(const std::string& file) {
  constexpr std::array endings = {".csv", ".tsv", ".csv.gz", ".tsv.gz"};
  return std::any_of(endings.begin(), endings.end(), [&](const char* ending) { return file.ends_with(ending); });
}

/// All columns of a table. Errors of tables propose options, which features do not take.
Array read_text_table(const std::string& file) {
  try {
    return read_array("features", file);
  } catch (const FormatError& error) {
    const std::string fault = std::string(error.what()).substr(file.size() + 2);
    throw FormatError(file, fault + " (features take no options of tables: change the file, or write a .npy)");
  }
}

/// Categories are refused: the columns that they become depend on the rows of the file.
Tensor load_text_table(const std::string& file) {
  Array table = read_text_table(file);
  if (table.preprocessing && !table.preprocessing->empty()) {
    throw FormatError(file, "has columns of text; features are numbers: leave them out, or write them as numbers");
  }
  tell_notes({&table});
  return std::move(table.values);
}

Tensor load_array(const std::string& file, const std::string& array) {
  const Device host = Device::cpu(1).separate();
  if (!file.ends_with(".npz")) {
    if (!array.empty()) throw UsageError(fmt::format("x={} names an array of a .npz, and {} is none", array, file));
    return is_text_table(file) ? load_text_table(file) : io::read_npy(file, host);
  }
  const io::NpzFile archive(file);
  const std::vector<std::string> names = archive.names();
  if (!array.empty()) return archive.load(array, host);
  if (names.size() == 1) return archive.load(names.front(), host);
  throw FormatError(file, fmt::format("holds {} arrays; say which one by x=NAME: {}", names.size(), joined(names)));
}

/// How many rows the file has that a part is cut from; `parts` are those of the SPEC as it is.
std::int64_t rows_of_file(const std::string& text, const data::TrainTest& parts, bool test) {
  data::Spec spec = data::Spec::parse(text);
  if (const std::string split = spec.text("split"); !split.empty()) test = split == "test";
  std::size_t cut = 0;
  for (const char* option : {"limit", "offset", "split"}) cut += spec.options.erase(option);
  std::optional<data::TrainTest> uncut;
  if (cut > 0) uncut = data::load(spec.to_string(), Device::cpu(1).separate());
  const data::TrainTest& whole = uncut ? *uncut : parts;
  const Rows& own = test ? whole.test_rows : whole.train_rows;
  const Rows& other = test ? whole.train_rows : whole.test_rows;
  if (own.empty()) return (test ? whole.test : whole.train).size();
  const std::int64_t last = *std::max_element(own.begin(), own.end());
  return 1 + (other.empty() ? last : std::max(last, *std::max_element(other.begin(), other.end())));
}

Tensor chosen_rows(Tensor features, const Rows& rows) {
  data::Dataset all;
  all.inputs = std::move(features);
  return std::move(all.subset(rows).inputs);
}

}  // namespace

Tensor read_features(const std::string& file, const std::string& array) {
  const Tensor values = load_array(file, array);
  const bool column = values.rank() == 1;
  if ((values.rank() != 2 && !column) || values.count() == 0) {
    throw FormatError(file, fmt::format("holds {}; features are [samples, features]", values.shape().to_string()));
  }
  const Shape shape{values.extent(0), column ? 1 : values.extent(1)};
  return data::finite_matrix(file, data::array_numbers(values), shape, "feature", values.device());
}

Tensor rows_of_part(const std::string& what, Tensor features, const std::string& spec, const data::TrainTest& parts,
                    bool test) {
  const data::Dataset& part = test ? parts.test : parts.train;
  const Rows& rows = test ? parts.test_rows : parts.train_rows;
  if (features.extent(0) == part.size()) return features;
  std::string needed =
      fmt::format("{} are needed, one for each sample of the {} part", part.size(), test ? "test" : "training");
  if (!rows.empty()) {
    const std::int64_t all = rows_of_file(spec, parts, test);
    if (features.extent(0) == all) return chosen_rows(std::move(features), rows);
    needed += fmt::format(", or {}, one for each row of the file that it is cut from", all);
  }
  throw ValueError(fmt::format("{} has {} rows; {}", what, features.extent(0), needed));
}

transfer::FrozenSource FeatureMatrices::source(const data::TrainTest& target, std::int64_t offset,
                                               const data::Dataset& own) const {
  std::vector<transfer::FrozenSource::Precomputed> known = {
      {&target.train, train.view().slice(0, offset, train.extent(0))}, {&target.test, test}};
  if (source_data.defined()) known.push_back({&own, source_data});
  transfer::FrozenSource source = transfer::FrozenSource::of_matrices(name, known);
  if (maker) source.set_maker(*maker, maker_inputs);
  return source;
}

namespace {

/// Of both parts of the target.
FeatureMatrices read_target_matrices(const ModelSpec& source, const std::string& spec, const data::TrainTest& parts) {
  const std::string what = "--source features:" + source.file;
  Tensor all = read_features(source.file, source.array);
  if (!source.test.empty()) {
    Tensor test = read_features(source.test, source.test.ends_with(".npz") ? source.array : "");
    if (test.extent(1) != all.extent(1)) {
      throw ValueError(fmt::format("{} has {} features for each sample, test={} {}", what, all.extent(1), source.test,
                                   test.extent(1)));
    }
    return {stem(source.file), rows_of_part(what, std::move(all), spec, parts, false),
            rows_of_part(fmt::format("{}: test={}", what, source.test), std::move(test), spec, parts, true)};
  }
  if (parts.train_rows == parts.test_rows && parts.train.input_hash() == parts.test.input_hash()) {
    Tensor both = rows_of_part(what, std::move(all), spec, parts, false);
    return {stem(source.file), both.clone(), std::move(both)};
  }
  const std::string apart = fmt::format("{} for the training part, and with ?test=FILE {} for the test part",
                                        parts.train.size(), parts.test.size());
  if (parts.train_rows.empty() || parts.test_rows.empty()) {
    throw ValueError(
        fmt::format("{} has {} rows, and none are given for the test part; {} are needed", what, all.extent(0), apart));
  }
  const std::int64_t rows = rows_of_file(spec, parts, false);
  if (all.extent(0) != rows) {
    throw ValueError(
        fmt::format("{} has {} rows; {} are needed, one for each row of the file that both parts are cut "
                    "from, or {}",
                    what, all.extent(0), rows, apart));
  }
  Tensor train = chosen_rows(all.clone(), parts.train_rows);
  return {stem(source.file), std::move(train), chosen_rows(std::move(all), parts.test_rows)};
}

}  // namespace

FeatureMatrices read_feature_matrices(const ModelSpec& source, const std::string& spec, const data::TrainTest& parts,
                                      const SourceSamples& own) {
  FeatureMatrices matrices = read_target_matrices(source, spec, parts);
  if (source.source.empty() && own.parts == nullptr) return matrices;
  if (source.source.empty()) {
    throw UsageError(fmt::format(
        "--source-data: features:{0} has no features of these samples; give them by features:{0}?source=FILE, "
        "or leave out --source-data",
        source.file));
  }
  const std::string what = fmt::format("--source features:{}: source={}", source.file, source.source);
  if (own.parts == nullptr) {
    throw UsageError(fmt::format("{} holds features of the samples of --source-data, which is not given", what));
  }
  Tensor features = read_features(source.source, source.source.ends_with(".npz") ? source.array : "");
  if (features.extent(1) != matrices.train.extent(1)) {
    throw ValueError(fmt::format("{} has {} features for each sample, those of the target are {}", what,
                                 features.extent(1), matrices.train.extent(1)));
  }
  matrices.source_data = rows_of_part(what, std::move(features), own.spec, *own.parts, false);
  return matrices;
}

FeatureMatrices features_elsewhere(const transfer::FrozenSource& source, const data::TrainTest& seen,
                                   const std::string& spec, const data::TrainTest& parts, const SourceSamples& own) {
  const std::string what = fmt::format("--source-inputs {}", seen.train.name);
  const auto rows = [&](const data::Dataset& samples, bool test) {
    return rows_of_part(what, source.features(samples), spec, parts, test);
  };
  Tensor of_own = own.parts != nullptr ? source.features(own.parts->train) : Tensor();
  return {source.name(), rows(seen.train, false), rows(seen.test, true), std::move(of_own), source, seen.train.fitted};
}

GivenFeatures::GivenFeatures(const std::vector<std::string>& arguments, std::string source_inputs)
    : source_inputs_(std::move(source_inputs)) {
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == argument.size()) {
      throw UsageError(fmt::format("--features: '{}' is not NAME=FILE", argument));
    }
    const std::string name = argument.substr(0, equals);
    if (!files_.emplace(name, argument.substr(equals + 1)).second) {
      throw UsageError(fmt::format("--features: '{}' is given twice", name));
    }
  }
}

std::vector<std::string> GivenFeatures::files() const {
  std::vector<std::string> all;
  for (const auto& [name, file] : files_) all.push_back(file);
  return all;
}

transfer::FeatureTable GivenFeatures::from_file(const std::string& name, const std::string& file, std::int64_t columns,
                                                const std::string& spec, const data::TrainTest& parts) const {
  Tensor features = read_features(file);
  if (features.extent(1) != columns) {
    throw ValueError(fmt::format("--features {}: {} has {} features for each sample, the model was fitted to {}", name,
                                 file, features.extent(1), columns));
  }
  return transfer::FeatureTable(
      rows_of_part(fmt::format("--features {}: {}", name, file), std::move(features), spec, parts, true));
}

void GivenFeatures::make(const std::string& model, const std::map<std::string, transfer::FrozenSource>& wanted,
                         const std::string& spec, const data::TrainTest& parts, const Device& device) {
  for (const auto& [name, source] : wanted) {
    if (source.maker() != nullptr && !source_inputs_.empty()) continue;
    throw UsageError(
        fmt::format("{} looks at the features '{}', {} for each sample, which are not part of it; give {}those of the "
                    "{} samples to predict by --features {}=FILE.npy",
                    model, name, source.feature_count(),
                    source.maker() == nullptr ? "" : "what that source sees by --source-inputs SPEC, or ",
                    parts.test.size(), name));
  }
  if (source_inputs_.empty()) return;
  if (wanted.empty()) throw UsageError(fmt::format("--source-inputs: {} looks at no features made of them", model));
  const data::TrainTest seen = load_data(source_inputs_, device, wanted.begin()->second.maker_inputs());
  for (const auto& [name, source] : wanted) {
    tables_[name] = std::make_shared<transfer::FeatureTable>(rows_of_part(
        fmt::format("--source-inputs {}", seen.test.name), source.maker()->features(seen.test), spec, parts, true));
  }
}

void GivenFeatures::read(const std::string& model, const std::vector<transfer::FrozenSource>& sources,
                         const std::string& spec, const data::TrainTest& parts, const Device& device) {
  std::map<std::string, transfer::FrozenSource> wanted;
  std::vector<std::string> names;
  for (const transfer::FrozenSource& source : sources) {
    if (!source.has_network() && wanted.emplace(source.name(), source).second) names.push_back(source.name());
  }
  for (const auto& [name, file] : files_) {
    const auto found = wanted.find(name);
    if (found == wanted.end()) {
      throw UsageError(fmt::format("--features {}={}: {} looks at {}", name, file, model,
                                   names.empty() ? "no features of files" : "the features " + joined(names)));
    }
    tables_[name] =
        std::make_shared<transfer::FeatureTable>(from_file(name, file, found->second.feature_count(), spec, parts));
    wanted.erase(found);
  }
  make(model, wanted, spec, parts, device);
}

transfer::FeatureLookup GivenFeatures::lookup(const data::Dataset& test, transfer::FeatureCache& cache) const {
  return [this, &test, &cache](const transfer::FrozenSource& source) {
    const auto found = source.has_network() ? tables_.end() : tables_.find(source.name());
    return found == tables_.end() ? cache.get(source, test) : found->second;
  };
}

}  // namespace rtl::cli
