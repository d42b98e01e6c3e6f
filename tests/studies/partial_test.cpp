// Inheriting a part of the parameters: the model by its definition, the criteria, and the claims of the study.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "io/json.hpp"
#include "studies/cifar_files.hpp"
#include "studies/partial/network_runs.hpp"
#include "studies/partial/setting.hpp"
#include "studies/run_study.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::test {
namespace {

using namespace studies::partial;

constexpr std::int64_t filters = 4, dimension = 12;

struct Model {
  Device device = Device::cpu(1);
  Task task{.shared = 1.5, .own = .75, .axis = 2, .deviation = .5, .flips = .2};
  Samples samples = draw_samples<double>(task, 40, dimension, 5, 1, device);
  Tensor weights = draw_filters<double>(filters, dimension, .4, 5, 2, device);
};

/// sign (u + v), whole.
std::vector<double> signal(const Task& task, int sign) {
  std::vector<double> patch(dimension, 0.0);
  patch[0] = sign * task.shared;
  patch[static_cast<std::size_t>(task.axis)] = sign * task.own;
  return patch;
}

double relu_of_product(const double* w, const double* x) {
  double sum = 0;
  for (std::int64_t k = 0; k < dimension; ++k) sum += w[k] * x[k];
  return std::max(sum, 0.0);
}

TEST(PartialModel, ComputesItsDefinition) {
  const Model model;
  const double* noise = model.samples.noise.data_as<double>();
  const double* w = model.weights.data_as<double>();
  const std::vector<double> values = outputs<double>(model.weights, model.task, model.samples);
  double loss_sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::vector<double> patch = signal(model.task, model.samples.signs[i]);
    const double* xi = noise + static_cast<std::int64_t>(i) * dimension;
    double expected = 0;
    for (std::int64_t f = 0; f < 2 * filters; ++f) {
      expected += (f < filters ? 1 : -1) *
                  (relu_of_product(w + f * dimension, patch.data()) + relu_of_product(w + f * dimension, xi)) / filters;
    }
    EXPECT_NEAR(values[i], expected, 1e-14);
    loss_sum += std::log(1 + std::exp(-model.samples.labels[i] * expected));
  }
  EXPECT_NEAR(loss<double>(model.weights, model.task, model.samples), loss_sum / 40, 1e-14);
}

TEST(PartialModel, DrawsNoiseOrthogonalToTheSignals) {
  const Device device = Device::cpu(1);
  const Task task{.shared = 1, .own = 2, .axis = 2, .deviation = 3, .flips = .25};
  const Samples samples = draw_samples<float>(task, 4000, dimension, 1, 9, device);
  const float* noise = samples.noise.data_as<float>();
  double squares = 0, flipped = 0, positive = 0;
  for (std::int64_t i = 0; i < samples.size(); ++i) {
    const float* row = noise + i * dimension;
    EXPECT_EQ(row[0], 0);
    EXPECT_EQ(row[2], 0);
    for (std::int64_t k = 0; k < dimension; ++k) squares += row[k] * row[k];
    const auto at = static_cast<std::size_t>(i);
    flipped += samples.signs[at] != samples.labels[at] ? 1 : 0;
    positive += samples.signs[at] > 0 ? 1 : 0;
  }
  // Four standard deviations of a mean of 40,000 squares and of 4,000 coins.
  EXPECT_NEAR(squares / (4000 * 10), 9, 4 * 9 * std::sqrt(2.0 / 40000));
  EXPECT_NEAR(flipped / 4000, .25, 4 * std::sqrt(.25 * .75 / 4000));
  EXPECT_NEAR(positive / 4000, .5, 4 * .5 / std::sqrt(4000));
  // Fewer samples are the first of more.
  const Samples fewer = draw_samples<float>(task, 10, dimension, 1, 9, device);
  EXPECT_TRUE(std::equal(fewer.labels.begin(), fewer.labels.end(), samples.labels.begin()));
  EXPECT_EQ(fewer.noise.data_as<float>()[dimension * 10 - 1], noise[dimension * 10 - 1]);
}

TEST(PartialModel, DoesNotDependOnTheOrderOfFiltersAndIsOddInTheirSign) {
  const Model model;
  const auto with_rows = [&](const std::vector<std::int64_t>& order) {
    Tensor result = model.weights.clone();
    for (std::size_t f = 0; f < order.size(); ++f) {
      const auto to = static_cast<std::int64_t>(f);
      copy_bytes(model.weights.view().slice(0, order[f], order[f] + 1), result.view().slice(0, to, to + 1));
    }
    return result;
  };
  const std::vector<double> values = outputs<double>(model.weights, model.task, model.samples);
  const std::vector<double> permuted = outputs<double>(with_rows({2, 0, 3, 1, 5, 4, 7, 6}), model.task, model.samples);
  const std::vector<double> swapped = outputs<double>(with_rows({4, 5, 6, 7, 0, 1, 2, 3}), model.task, model.samples);
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(permuted[i], values[i], 1e-14);
    EXPECT_NEAR(swapped[i], -values[i], 1e-14);
  }
}

TEST(PartialModel, KeepsFrozenFilters) {
  Model model;
  const std::vector<double> before = model.weights.to_vector<double>();
  std::vector<bool> frozen(2 * filters, false);
  frozen[1] = frozen[6] = true;
  descend<double>(model.weights, model.task, model.samples, {.steps = 5, .frozen = frozen});
  const std::vector<double> after = model.weights.to_vector<double>();
  for (std::size_t f = 0; f < frozen.size(); ++f) {
    const auto begin = static_cast<std::ptrdiff_t>(f * dimension);
    EXPECT_EQ(std::equal(before.begin() + begin, before.begin() + begin + dimension, after.begin() + begin), frozen[f]);
  }
}

TEST(PartialModel, RefusesToInheritWhatDoesNotFit) {
  const Model model;
  EXPECT_THROW(inherit(model.weights, model.weights, 1.5, 1), ValueError);
  EXPECT_THROW(inherit(model.weights, model.weights, std::nan(""), 1), ValueError);
  EXPECT_THROW(inherit(draw_filters<double>(3, dimension, 1, 1, 1, model.device), model.weights, .5, 1), ShapeError);
  EXPECT_THROW(inherit(draw_filters<float>(filters, dimension, 1, 1, 1, model.device), model.weights, .5, 1),
               ShapeError);
}

TEST(PartialCriterion, HelpsWhereTheInequalitySays) {
  for (const double u : {0., .3, .7, 1., 2.}) {
    for (const double alpha : {.1, .5, 1.}) {
      for (const double noise : {.5, 1., 3.}) {
        const Setting setting{.u = u, .v2 = 1.2, .n1 = 100, .deviation1 = noise, .deviation2 = .8};
        const double q1 = noise * noise, q2 = .64, shared = u * u, both = shared + 1.44;
        const bool helps = 100 * shared * shared / q1 + 2 / alpha * 30 * shared * both / q2 > 30 * both * both / q2;
        EXPECT_EQ(gamma(setting, alpha) > gamma(setting, 0), helps) << u << ' ' << alpha << ' ' << noise;
      }
    }
  }
}

TEST(PartialCriterion, IsGreatestAtTheBestShare) {
  const Setting setting{.u = 1};
  const double best = best_alpha(setting);
  EXPECT_DOUBLE_EQ(best, 1 / 3.25);
  EXPECT_GT(gamma(setting, best), gamma(setting, best + .01));
  EXPECT_GT(gamma(setting, best), gamma(setting, best - .01));
}

TEST(PartialCriterion, IsEqualToScratchAtTheBoundary) {
  for (const auto criterion : {gamma, refined}) {
    Setting setting;
    setting.u = boundary(setting, .5, criterion);
    EXPECT_NEAR(criterion(setting, .5) / criterion(setting, 0), 1, 1e-12);
    EXPECT_GT(setting.u, .3);
    EXPECT_LT(setting.u, 1.2);
  }
  EXPECT_DOUBLE_EQ(accuracy_of(0), .5);
  EXPECT_NEAR(accuracy_of(1), .9494974165258963, 1e-12);  // Phi(1.64)
}

TEST(Partial, HoldsWhatIsExact) { run_part("partial", "identities"); }

TEST(Partial, DecomposesItsFilters) { run_part("partial", "decomposition"); }

studies::Reproduction run_controls(const TemporaryFolder& folder, std::vector<std::string>& notes) {
  const auto run = study_named("partial").begin();
  set<int>(*run, "--seeds", 2);
  set<std::string>(*run, "--state", folder / "kept");
  studies::RunOptions options;
  options.only = "controls";
  options.note = [&](const std::string& text) { notes.push_back(text); };
  return run->run(options);
}

TEST(Partial, GoesOnFromFinishedSettings) {
  const TemporaryFolder folder;
  std::vector<std::string> notes;
  const studies::Reproduction first = run_controls(folder, notes);
  EXPECT_TRUE(notes.empty());
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "kept")) {
    if (entry.path().filename() != "protocol.json") files.push_back(entry.path());
  }
  ASSERT_EQ(files.size(), 8U);
  std::sort(files.begin(), files.end());
  std::filesystem::remove(files[0]);
  std::filesystem::resize_file(files[1], 20);
  studies::Json kept = io::read_sealed_json(files[2]);
  EXPECT_EQ(kept.at("result").size(), 2U);
  const studies::Reproduction second = run_controls(folder, notes);
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_NE(notes[0].find(std::filesystem::path(files[1]).filename()), std::string::npos) << notes[0];
  EXPECT_EQ(second.tables.at(0).rows, first.tables.at(0).rows);
  // A result that is there is taken as it is.
  kept["result"][0][0] = kept["result"][1][0] = 0.125;
  io::write_sealed_json(files[2], kept);
  const auto rows = run_controls(folder, notes).tables.at(0).rows;
  EXPECT_TRUE(std::any_of(rows.begin(), rows.end(), [](const auto& row) { return row[3] == "0.125"; }));
}

TEST(PartialNetworks, NumberClassesAnew) {
  const data::Dataset samples = noise_images(20, 5);
  const data::Dataset part = with_classes(samples, {3, 0});
  EXPECT_EQ(part.classes, 2);
  ASSERT_EQ(part.size(), 8);
  EXPECT_EQ(part.labels.to_vector<std::int32_t>(), (std::vector<std::int32_t>{1, 0, 1, 0, 1, 0, 1, 0}));
  const auto all = samples.inputs.to_vector<std::uint8_t>(), taken = part.inputs.to_vector<std::uint8_t>();
  EXPECT_TRUE(std::equal(taken.begin(), taken.begin() + 192, all.begin()));
  EXPECT_TRUE(std::equal(taken.begin() + 192, taken.begin() + 384, all.begin() + 3 * 192));
}

TEST(PartialNetworks, StartAsTheirSharesSay) {
  const data::TrainTest images{.train = noise_images(80, 4), .test = noise_images(40, 4, 1)};
  for (const char* model : {"thin_resnet:2", "thin_vgg:2"}) {
    const NetworkRecipe recipe{
        .model = model, .few_images = 10, .downstream_images = 20, .upstream_epochs = 2, .downstream_epochs = 2};
    const NetworkRun run = run_networks(images, recipe, 3, [] { return false; });
    EXPECT_EQ(run.nothing_inherited, 0) << model;
    EXPECT_EQ(run.all_inherited, 0) << model;
    EXPECT_EQ(run.accuracies.size(), all_starts().size()) << model;
    EXPECT_EQ(run.upstream.size(), 5U) << model;
    EXPECT_EQ(run.accuracies, run_networks(images, recipe, 3, [] { return false; }).accuracies) << model;
  }
}

TEST(Partial, TrainsNetworksAndKeepsThem) {
  const TemporaryFolder folder;
  write_cifar(folder);
  const auto run = study_named("partial").begin();
  set<bool>(*run, "--networks", true);
  set<std::string>(*run, "--data", folder.path());
  set<std::string>(*run, "--state", folder / "kept");
  studies::RunOptions options;
  options.only = "networks";
  const studies::Reproduction first = run->run(options);
  ASSERT_EQ(first.tables.size(), 2U);
  ASSERT_EQ(first.claims.size(), 4U);
  for (const studies::Claim& claim : first.claims) EXPECT_TRUE(claim.passed()) << claim.name;
  EXPECT_EQ(first.tables[0].rows.size(), all_starts().size());
  EXPECT_TRUE(std::filesystem::exists(folder / "kept/networks_VGG_1.json"));
  std::filesystem::remove(folder / "kept/networks_ResNet_0.json");
  EXPECT_EQ(run->run(options).tables[0].rows, first.tables[0].rows);
  set<std::string>(*run, "--data", "");
  EXPECT_THROW(run->run(options), studies::OptionError);
}

}  // namespace
}  // namespace rtl::test
