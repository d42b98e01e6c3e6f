// Natural shift: other classes, other cameras, other products. Table 1 of the paper, where its data are at hand.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/core/random.hpp"
#include "rtl/data/load.hpp"
#include "rtl/layers/network.hpp"
#include "studies/real_domains.hpp"
#include "studies/refine/images.hpp"
#include "studies/refine/parts.hpp"
#include "studies/refine/stress.hpp"

namespace rtl::studies::refine {
namespace {

/// Scratch, then what can be done with a source of other classes; `two` are the two sources of digits and reviews.
const std::vector<Method>& shift_methods() {
  static const std::vector<Method> all = {{"NoTrans", "scratch"}, {"LinearProbe", "probe:probe_dropout=0.5"},
                                          {"Adapter", "adapter"}, {"full fine-tuning", "fine-tune"},
                                          {"REFINE", "refine"},   {"REFINE, balanced", "refine:balance"}};
  return all;
}
constexpr const char *naive_two = "concatenate", *refine_two = "refine of two";

struct Setting {
  std::string name;
  bool quick = false;
  bool two = false;  ///< a second source
  /// NoTrans, LinearProbe, Adapter, full fine-tuning, REFINE.
  std::vector<std::optional<Published>> published;
};

std::vector<std::string> labels() {
  std::vector<std::string> all;
  for (const Method& method : shift_methods()) all.emplace_back(method.label);
  return all;
}

void add_two(Scores& scores, const std::string& prefix, const std::vector<transfer::FrozenSource>& two,
             const Target& target) {
  Scores own;
  add_scores(own, "", {"concatenate", "refine"}, two, target);
  scores[prefix + naive_two] = own.at("concatenate");
  scores[prefix + refine_two] = own.at("refine");
}

// CIFAR.

Scores between_cifars(const data::TrainTest& from, const data::TrainTest& to, const Recipe& recipe,
                      const std::string& name, std::uint64_t seed, const RunOptions& options) {
  const transfer::FrozenSource source = train_source(drawn(from.train, recipe.source_images, mix(seed, 1)), recipe,
                                                     name, training_for(recipe, recipe.source_epochs, seed, options));
  Scores scores;
  add_scores(scores, score_name(name, ""), labels(), {source},
             target_of(drawn(to.train, recipe.target_images, seed), to.test, recipe, seed, options));
  return scores;
}

// Digits, 16 x 16.

/// Grey images, from any square extent, between the nearest four pixels.
data::Dataset resized(const data::Dataset& images) {
  constexpr int size = 16;
  const auto extent = static_cast<int>(images.inputs.extent(1));
  if (extent == size) return images.clone();
  const auto bytes = images.inputs.to_vector<std::uint8_t>();
  std::vector<std::uint8_t> pixels;
  for (std::int64_t n = 0; n < images.size(); ++n) {
    const std::uint8_t* image = bytes.data() + n * extent * extent;
    for (int i = 0; i < size * size; ++i) {
      const double y = std::max(0.0, (i / size + .5) * extent / size - .5),
                   x = std::max(0.0, (i % size + .5) * extent / size - .5);
      const int top = static_cast<int>(y), left = static_cast<int>(x);
      const int bottom = std::min(top + 1, extent - 1), right = std::min(left + 1, extent - 1);
      const double v = y - top, u = x - left;
      const double value = (1 - v) * ((1 - u) * image[top * extent + left] + u * image[top * extent + right]) +
                           v * ((1 - u) * image[bottom * extent + left] + u * image[bottom * extent + right]);
      pixels.push_back(static_cast<std::uint8_t>(std::lround(value)));
    }
  }
  data::Dataset small = images.clone();
  small.inputs = Tensor::from(pixels, {images.size(), size, size, 1}, Device::cpu(1));
  return small;
}

data::TrainTest read_digits(const Runs& runs, const std::string& set) {
  data::TrainTest read = data::load("idx:" + runs.data + "/images/" + set + "?limit=6000", Device::cpu(1));
  std::vector<std::int64_t> rows(static_cast<std::size_t>(std::min<std::int64_t>(2000, read.test.size())));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i);
  data::TrainTest small;
  small.train = resized(read.train);
  small.test = resized(read.test.subset(rows));
  return small;
}

Scores between_digits(const data::TrainTest& first, const data::TrainTest& second, const data::TrainTest& to,
                      const Recipe& recipe, const std::string& name, std::uint64_t seed, const RunOptions& options) {
  std::vector<transfer::FrozenSource> two;
  for (const data::TrainTest* from : {&first, &second}) {
    two.push_back(train_source(drawn(from->train, recipe.source_images, mix(seed, two.size())), recipe,
                               fmt::format("source {}", two.size() + 1),
                               training_for(recipe, recipe.source_epochs, seed, options)));
  }
  const Target target = target_of(drawn(to.train, recipe.target_images, seed), to.test, recipe, seed, options);
  Scores scores;
  add_scores(scores, score_name(name, ""), labels(), {two.front()}, target);
  add_two(scores, score_name(name, ""), two, target);
  return scores;
}

// Reviews.

/// log(1 + count) of 5000 words, and whether it is positive.
data::Dataset reviews(const Domain& domain, std::span<const std::int64_t> rows) {
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  for (const std::int64_t row : rows) {
    const auto begin = domain.x.begin() + row * domain.features;
    values.insert(values.end(), begin, begin + domain.features);
    labels.push_back(domain.y[static_cast<std::size_t>(row)] > 0 ? 1 : 0);
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  data::Dataset dataset;
  dataset.inputs = Tensor::from(values, {count, domain.features}, Device::cpu(1));
  dataset.labels = Tensor::from(labels, {count}, Device::cpu(1));
  dataset.classes = 2;
  dataset.name = domain.name;
  return dataset;
}

Scores between_reviews(const Domain& first, const Domain& second, const Domain& to, const std::string& name,
                       std::uint64_t seed, const RunOptions& options) {
  constexpr const char* width = "64";
  const auto training = [&](std::int64_t epochs) {
    Recipe recipe;
    recipe.batch = 32;
    return training_for(recipe, epochs, seed, options);
  };
  std::vector<transfer::FrozenSource> two;
  for (const Domain* from : {&first, &second}) {
    const std::vector<std::int64_t> rows =
        RandomSequence(seed, 2).permutation(std::min<std::int64_t>(2000, from->rows));
    const Device device = Device::cpu(1).separate();
    auto network = layers::make_network({"mlp", width, {from->features}, 2}, device, mix(seed, two.size()));
    transfer::train(*network, reviews(*from, rows), data::Normalization::none, training(20));
    two.emplace_back(std::move(network), data::InputNormalization(data::Normalization::none),
                     fmt::format("source {}", two.size() + 1));
  }
  // As published, 400 to train on and 1000 for the test.
  const std::vector<std::int64_t> order = RandomSequence(seed, 3).permutation(to.rows);
  const std::size_t rows = std::min<std::size_t>(400, order.size() / 3);
  Target target{.train = reviews(to, std::span(order).first(rows)),
                .test = reviews(to, std::span(order).subspan(rows, std::min<std::size_t>(1000, order.size() - rows))),
                .training = training(30)};
  target.strategy.model = std::string("mlp:") + width;
  target.strategy.normalization = data::Normalization::none;
  target.strategy.device = Device::cpu(1).separate();
  Scores scores;
  add_scores(scores, score_name(name, ""), labels(), {two.front()}, target);
  add_two(scores, score_name(name, ""), two, target);
  return scores;
}

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = {
      {"CIFAR-100 to CIFAR-10", true, false, {{{56.58, .37}}, {{38.93, .55}}, {{38.23, .31}}, {}, {{54.40, .33}}}},
      {"CIFAR-10 to CIFAR-100", false, false, {{{18.32, .53}}, {{7.01, .33}}, {{6.56, .29}}, {}, {{18.59, .55}}}},
      {"USPS to MNIST", true, true, {{{62.07, 8.78}}, {{67.00, 1.01}}, {{61.87, 3.03}}, {}, {{70.05, 2.17}}}},
      {"Fashion to MNIST", false, true, {}},
      {"MNIST to USPS", false, true, {}},
      {"books to kitchen", true, true, {{{71.66, 1.36}}, {{66.74, 3.15}}, {{71.34, .14}}, {}, {{72.72, 1.65}}}},
      {"dvd to electronics", false, true, {{{68.52, 2.90}}, {{66.06, .51}}, {{65.86, .32}}, {}, {{70.34, 1.00}}}}};
  return all;
}

void report(Reproduction& result, const Trials& trials) {
  std::vector<Row> rows;
  for (const Setting& setting : settings()) {
    const std::string scratch = score_name(setting.name, "scratch");
    if (!trials.has(scratch)) continue;
    for (std::size_t i = 0; i < shift_methods().size(); ++i) {
      const Method& method = shift_methods()[i];
      Row row{setting.name, method.name, score_name(setting.name, method.label), scratch};
      if (i < setting.published.size()) {
        row.published = setting.published[i];
        row.published_scratch = setting.published[0];
      }
      rows.push_back(row);
    }
    if (!setting.two) continue;
    rows.push_back({setting.name, "Naive, two sources", score_name(setting.name, naive_two), scratch});
    rows.push_back({setting.name, "REFINE, two sources", score_name(setting.name, refine_two), scratch});
  }
  result.tables.push_back(table_of("Natural shift", trials, rows));
  result.facts["shift"] = to_json(trials);
}

void claim(Reproduction& result, const Trials& trials, bool full) {
  for (const Setting& setting : settings()) {
    const std::string scratch = score_name(setting.name, "scratch");
    if (!trials.has(scratch)) continue;
    const auto difference = [&](const char* label, const char* other) {
      return trials.difference(score_name(setting.name, label), score_name(setting.name, other));
    };
    claim_no_worse(result, setting.name + ": REFINE minus NoTrans", difference("refine", "scratch"));
    if (!full) continue;
    claim_no_worse(result, setting.name + ": REFINE minus LinearProbe", difference("refine", shift_methods()[1].label));
    if (setting.two) {
      claim_no_worse(result, setting.name + ", two sources: REFINE minus Naive", difference(refine_two, naive_two));
    } else {
      claim_above(result, setting.name + ": NoTrans minus LinearProbe",
                  difference("scratch", shift_methods()[1].label));
      claim_above(result, setting.name + ": REFINE minus LinearProbe", difference("refine", shift_methods()[1].label));
    }
  }
}

struct Material {
  data::TrainTest small, large;  ///< CIFAR-10 and CIFAR-100
  data::TrainTest usps, mnist, fashion;
  Domain books, dvd, kitchen, electronics;
  Recipe recipe, digit_recipe;

  std::string text() const {
    return fmt::format(
        "images: {}; digits of 16 x 16: {}; reviews: mlp:64 on log(1 + count) of 5000 words, source: 2000, 20 epochs, "
        "target: 400, 30 epochs; the second source: Fashion, USPS, Fashion, dvd, books",
        recipe.text(), digit_recipe.text());
  }
  Store::Facts facts() const {
    Store::Facts all = facts_of({&small, &large, &usps, &mnist, &fashion}, text());
    for (const Domain* domain : {&books, &dvd, &kitchen, &electronics}) {
      all.push_back(domain_fact("reviews of " + domain->name, *domain));
    }
    return all;
  }
};

Material read_material(const Runs& runs, const RunOptions& options) {
  Material read{.small = load_cifar(runs, 10),
                .large = load_cifar(runs, 100),
                .usps = read_digits(runs, "usps"),
                .mnist = read_digits(runs, "mnist"),
                .fashion = read_digits(runs, "fashion-mnist"),
                .books = domains::amazon(runs.data, "books"),
                .dvd = domains::amazon(runs.data, "dvd"),
                .kitchen = domains::amazon(runs.data, "kitchen"),
                .electronics = domains::amazon(runs.data, "electronics"),
                .recipe = {},
                .digit_recipe = {}};
  read.recipe = recipe_for(std::min(read.small.train.size(), read.large.train.size()), options);
  const std::int64_t images = std::min({read.usps.train.size(), read.mnist.train.size(), read.fashion.train.size()});
  read.digit_recipe = {options.full() ? half_width : small,
                       std::min<std::int64_t>(3000, images),
                       options.full() ? 20 : 5,
                       std::min<std::int64_t>(100, images),
                       30,
                       32};
  return read;
}

/// In the order of settings().
std::vector<Piece> pieces_of(const Material& material, const RunOptions& options) {
  using Run = std::function<Scores(const std::string& name, std::uint64_t seed)>;
  const auto cifars = [&](const data::TrainTest& from, const data::TrainTest& to) -> Run {
    return [&, source = &from, target = &to](const std::string& name, std::uint64_t seed) {
      return between_cifars(*source, *target, material.recipe, name, seed, options);
    };
  };
  const auto digits = [&](const data::TrainTest& first, const data::TrainTest& second,
                          const data::TrainTest& to) -> Run {
    return [&, one = &first, two = &second, target = &to](const std::string& name, std::uint64_t seed) {
      return between_digits(*one, *two, *target, material.digit_recipe, name, seed, options);
    };
  };
  const auto products = [&](const Domain& first, const Domain& second, const Domain& to) -> Run {
    return [&, one = &first, two = &second, target = &to](const std::string& name, std::uint64_t seed) {
      return between_reviews(*one, *two, *target, name, seed, options);
    };
  };
  const Material& m = material;
  const std::vector<Run> all = {cifars(m.large, m.small),
                                cifars(m.small, m.large),
                                digits(m.usps, m.fashion, m.mnist),
                                digits(m.fashion, m.usps, m.mnist),
                                digits(m.mnist, m.fashion, m.usps),
                                products(m.books, m.dvd, m.kitchen),
                                products(m.dvd, m.books, m.electronics)};
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Setting& setting = settings()[i];
    if (!options.full() && !setting.quick) continue;
    pieces.push_back(
        {setting.name, [run = all[i], name = setting.name](std::uint64_t seed) { return run(name, seed); }});
  }
  return pieces;
}

}  // namespace

void shift(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const Material material = read_material(runs, options);
  result.protocol.emplace_back("shift", material.text());
  const Trials trials = run_trials("shift", pieces_of(material, options), material.facts(), runs, options);
  report(result, trials);
  claim(result, trials, options.full());
}

}  // namespace rtl::studies::refine
