#include "studies/transfer_table/material.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "core/by_name.hpp"
#include "rtl/core/random.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/transfer/useless_source.hpp"
#include "studies/transfer_table/pretrained.hpp"
#include "studies/transfer_table/tables.hpp"

namespace rtl::studies::transfer_table {
namespace {

constexpr std::uint64_t source_seed = 7;       ///< of a source's training
constexpr std::uint64_t rows_seed = 11;        ///< which of a target's rows are for testing
constexpr std::uint64_t stress_seed = 13;      ///< of permutations and noise
constexpr std::int64_t most_pool_rows = 3000;  ///< that training rows are drawn from, but for published sources
constexpr std::int64_t source_steps = 1500;
constexpr std::int64_t batch_size = 32;

std::int64_t epochs_of(std::int64_t rows, std::int64_t steps) {
  const auto batches = (rows + batch_size - 1) / batch_size;
  return std::max<std::int64_t>(1, (steps + batches / 2) / batches);
}

/// Data set of these rows: inputs [rows, columns] are given, labels or targets are the domain's.
data::Dataset dataset_of(const Domain& domain, const std::vector<std::int64_t>& rows, const std::vector<float>& inputs,
                         const std::string& name) {
  const Device host = Device::cpu(1);
  const auto count = static_cast<std::int64_t>(rows.size());
  data::Dataset dataset;
  dataset.name = name;
  dataset.inputs = Tensor::from(inputs, {count, static_cast<std::int64_t>(inputs.size() / rows.size())}, host);
  std::vector<float> targets;
  std::vector<std::int32_t> labels;
  for (const std::int64_t row : rows) {
    const double* y = domain.y.data() + row * domain.outputs;
    targets.push_back(static_cast<float>(*y));
    labels.push_back(
        static_cast<std::int32_t>(domain.outputs == 1 ? *y > 0 : std::max_element(y, y + domain.outputs) - y));
  }
  if (domain.task == Task::regression) {
    dataset.targets = Tensor::from(targets, {count, 1}, host);
  } else {
    dataset.labels = Tensor::from(labels, {count}, host);
    dataset.classes = std::max<std::int64_t>(2, domain.outputs);
  }
  return dataset;
}

std::vector<float> narrowed(const std::vector<double>& values) { return {values.begin(), values.end()}; }

std::vector<float> rows_of(const std::vector<float>& x, std::int64_t columns, const std::vector<std::int64_t>& rows) {
  std::vector<float> chosen;
  chosen.reserve(rows.size() * static_cast<std::size_t>(columns));
  for (const std::int64_t row : rows) {
    chosen.insert(chosen.end(), x.begin() + row * columns, x.begin() + (row + 1) * columns);
  }
  return chosen;
}

struct Split {
  std::vector<std::int64_t> pool, test;
};

/// Two fifths of the rows, but no more than 700, are for testing, or the rows that the domain has for it.
Split split_of(const Domain& domain, const std::string& name, bool all_rows) {
  Split split;
  split.pool = RandomSequence(rows_seed, io::Hash64().add(name).value()).permutation(domain.training_rows);
  if (domain.training_rows < domain.rows) {
    for (std::int64_t row = domain.training_rows; row < domain.rows; ++row) split.test.push_back(row);
  } else {
    const auto count = std::min(most_test_rows, 2 * domain.rows / 5);
    split.test.assign(split.pool.end() - count, split.pool.end());
    split.pool.resize(split.pool.size() - static_cast<std::size_t>(count));
  }
  if (!all_rows) split.pool.resize(std::min(split.pool.size(), static_cast<std::size_t>(most_pool_rows)));
  return split;
}

data::Dataset source_samples(const Domain& domain, const SourceScaling& scaling, bool random_labels,
                             const std::string& name) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(domain.source_rows));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i);
  const std::vector<float> inputs = narrowed(scaling.scaled(domain, rows));
  if (random_labels) rows = RandomSequence(stress_seed, 1).permutation(domain.source_rows);
  return dataset_of(domain, rows, inputs, name);
}

transfer::FrozenSource train_source(const data::Dataset& train) {
  const Device device = Device::cpu(1).separate();
  auto network =
      layers::make_network({"mlp", model_variant, train.sample_shape(), train.outputs()}, device, source_seed);
  transfer::TrainingOptions options = training_for(train.size());
  options.epochs = epochs_of(train.size(), source_steps);
  options.seed = source_seed;
  transfer::train(*network, train, data::Normalization::none, options);
  return transfer::FrozenSource(std::move(network), data::InputNormalization(data::Normalization::none), train.name,
                                Precision::f32, {}, transfer::Task::of(train));
}

transfer::FrozenSource stressed(const transfer::FrozenSource& source, Stress stress) {
  switch (stress) {
    case Stress::permuted:
      return transfer::permuted_source(source, stress_seed);
    case Stress::noise_512:
      return transfer::noise_source(512, stress_seed);
    case Stress::noise_2560:
      return transfer::noise_source(2560, stress_seed);
    case Stress::times_100:
      return transfer::scaled_source(source, 100);
    case Stress::none:
    case Stress::random_labels:
      break;
  }
  return source;
}

/// Whether features that are so changed still are those that the source's head was trained on.
bool keeps_head(Stress stress) {
  return stress == Stress::none || stress == Stress::random_labels || stress == Stress::times_100;
}

/// By its deviation; not where some columns are almost constant, rare words and pixels at an edge.
bool scales_each_feature(const std::string& family) { return !is_one_of(family, {"amazon", "office", "digits"}); }

}  // namespace

transfer::TrainingOptions training_for(std::int64_t rows) {
  transfer::TrainingOptions options;
  options.epochs = epochs_of(rows, rows <= 100 ? 250 : rows <= 400 ? 350 : 600);
  options.batch_size = batch_size;
  options.learning_rate = 0.05;
  options.momentum = 0.9;
  options.weight_decay = 1e-4;
  return options;
}

std::shared_ptr<const Table> Material::source_table(const Setting& setting) {
  if (setting.family == "cortex") {
    return tables_.get("cortex source, " + setting.target,
                       [&] { return cortex_source(folders_.data, setting.target); });
  }
  return tables_.get(setting.family + ", " + setting.source,
                     [&] { return read_table(folders_.data, setting.family, setting.source); });
}

std::shared_ptr<const Table> Material::target_table(const Setting& setting) {
  const std::string source =
      setting.family == "pretrained-texts" ? ", " + setting.source : "";  // whose tokens they are
  return tables_.get(setting.family + ", " + setting.target + source, [&] {
    if (is_published(setting)) return published_target(folders_, setting);
    if (setting.family == "cortex") return cortex_target(folders_.data, setting.target);
    return read_table(folders_.data, setting.family, setting.target);
  });
}

std::vector<transfer::detail::Fact> Material::facts(const Setting& setting) {
  std::vector<transfer::detail::Fact> facts;
  if (is_published(setting)) {
    const io::MappedFile file(checkpoint_of(folders_, setting));
    facts.push_back(transfer::detail::content_fact("source's weights", io::hash64(file.bytes()), setting.source));
  } else {
    facts.push_back(domain_fact("source's data", source_table(setting)->domain));
  }
  facts.push_back(domain_fact("target's data", target_table(setting)->domain));
  return facts;
}

std::shared_ptr<const data::Dataset> Material::samples_of(const Setting& setting, const SourceScaling& scaling) {
  const bool random_labels = setting.stress == Stress::random_labels;
  const std::string name =
      fmt::format("{}, {}{}", setting.family, setting.source, random_labels ? ", random labels" : "");
  // The genes that the source of the cortex sees depend on the target.
  return samples_.get(name + (setting.family == "cortex" ? setting.target : ""),
                      [&] { return source_samples(source_table(setting)->domain, scaling, random_labels, name); });
}

transfer::FrozenSource Material::source_of(const Setting& setting, const std::shared_ptr<const data::Dataset>& samples,
                                           const Shape& sample) {
  if (is_published(setting)) {
    return *sources_.get(setting.source, [&] {
      layers::LoadedNetwork loaded =
          layers::load_network(checkpoint_of(folders_, setting), Device::cpu(1).separate(), {}, DType::f32,
                               sample.rank() == 3 ? std::optional(sample) : std::nullopt);
      return transfer::FrozenSource(std::move(loaded.network), loaded.normalization, setting.source);
    });
  }
  const std::string key = samples->name + (setting.family == "cortex" ? setting.target : "");
  return *sources_.get(key, [&] { return train_source(*samples); });
}

Prepared Material::prepare(const Setting& setting) {
  const std::shared_ptr<const Table> table = target_table(setting);
  const Domain& domain = table->domain;
  const bool published = is_published(setting), cifar100 = setting.family == "cifar100";
  // Coarse and fine labels of CIFAR-100 have the same rows.
  const Split split = split_of(domain, setting.family + (cifar100 ? "" : ", " + setting.target), published);
  std::optional<SourceScaling> scaling;
  if (!published) scaling.emplace(source_table(setting)->domain, scales_each_feature(setting.family));
  const auto samples = published ? nullptr : samples_of(setting, *scaling);
  const transfer::FrozenSource source =
      source_of(setting, samples, published ? table->network_inputs.sample_shape() : Shape());
  std::shared_ptr<const std::vector<float>> encoder(table, &table->encoder);
  if (table->components) {
    encoder = components_.get(setting.family + ", " + setting.target,
                              [&] { return principal_components(domain, table->encoder_columns); });
  }
  const bool h_sees_columns = table->encoder_columns == 0;
  // As the source sees the parts, and as h does.
  data::TrainTest own, target;
  for (const bool test : {false, true}) {
    const std::vector<std::int64_t>& rows = test ? split.test : split.pool;
    const std::vector<float> columns =
        published ? rows_of(domain.x, domain.features, rows) : narrowed(scaling->scaled(domain, rows));
    data::Dataset& part = test ? own.test : own.train;
    part = dataset_of(domain, rows, columns, setting.name());
    if (!published && h_sees_columns) continue;
    (test ? target.test : target.train) = dataset_of(
        domain, rows, h_sees_columns ? columns : rows_of(*encoder, table->encoder_columns, rows), setting.name());
    if (!published) continue;
    data::Dataset seen = table->network_inputs.subset(rows);
    part.inputs = std::move(seen.inputs);
    part.vocabulary = seen.vocabulary;
  }
  Prepared prepared{.source = source, .features = std::make_shared<transfer::FeatureCache>()};
  if (keeps_head(setting.stress) && setting.family != "pretrained-texts") prepared.head = source;
  if (keeps_head(setting.stress)) prepared.source_data = samples;
  if (published || !h_sees_columns) {
    const Device host = Device::cpu(1);
    const Tensor train = features_.get(source, own.train)->gather(nullptr, host);
    const Tensor test = features_.get(source, own.test)->gather(nullptr, host);
    prepared.target = std::move(target);
    std::vector<transfer::FrozenSource::Precomputed> matrices{{&prepared.target.train, train},
                                                              {&prepared.target.test, test}};
    Tensor of_samples;
    if (prepared.source_data) {
      of_samples = features_.get(source, *prepared.source_data)->gather(nullptr, host);
      matrices.push_back({prepared.source_data.get(), of_samples});
    }
    prepared.source = transfer::FrozenSource::of_matrices(source.name(), matrices);
    prepared.head_inputs = std::make_shared<const data::Dataset>(std::move(own.train));
    if (table->components) prepared.normalization = data::Normalization::none;
  } else {
    prepared.target = std::move(own);
  }
  prepared.source = stressed(prepared.source, setting.stress);
  return prepared;
}

}  // namespace rtl::studies::transfer_table
