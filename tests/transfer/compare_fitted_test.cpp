// Comparisons that keep what every run has fitted.
#include <gtest/gtest.h>

#include "rtl/transfer/compare.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;

data::TrainTest target() {
  return {testing::make_vectors(1, 24, 6, 3, 2.0, Device::cpu(1)),
          testing::make_vectors(2, 50, 6, 3, 2.0, Device::cpu(1))};
}

FrozenSource source() { return FrozenSource(testing::make("mlp", "5", {6}, 3, 3, Device::cpu(1)), {}, "tutor"); }

CompareOptions small(const std::string& folder) {
  CompareOptions options;
  options.strategies = {"probe", "refine:balance"};
  options.seeds = 3;
  options.training = testing::quick(4);
  options.strategy.model = "mlp:4";
  options.fitted_folder = folder;
  return options;
}

TEST(CompareFitted, EveryRunsPredictorHasItsScores) {
  EXPECT_EQ(fitted_file("refine:balance", 2), "refine_balance_seed2.safetensors");
  const data::TrainTest data = target();
  const FrozenSource tutor = source();
  const Folder one, four;
  const Comparison comparison = compare({tutor}, data, small(one / "new/folder"));
  CompareOptions spread = small(four.path());
  spread.workers = 2;
  spread.replicas = 2;
  compare({tutor}, data, spread);
  for (const StrategyResult& result : comparison.strategies) {
    for (std::size_t i = 0; i < comparison.seeds.size(); ++i) {
      const std::string file = fitted_file(result.name, comparison.seeds[i]);
      SCOPED_TRACE(file);
      const Fitted kept = Fitted::load(one / ("new/folder/" + file), Device::cpu(1));
      EXPECT_EQ(evaluate(kept, data.test).accuracy, result.accuracy.values[i]);
      const Fitted other = Fitted::load(four / file, Device::cpu(1));
      EXPECT_TRUE(testing::same_bytes(testing::values_of(kept.state()), testing::values_of(other.state())));
    }
  }
  EXPECT_EQ(four.files(), 9u);
}

TEST(CompareFitted, ARunThatDivergedHasNone) {
  const data::TrainTest data = target();
  const Folder folder;
  CompareOptions options = small(folder.path());
  options.strategies = {"scratch"};
  compare({}, data, options);
  ASSERT_EQ(folder.files(), 3u);
  options.training.learning_rate = 1e30;
  const Comparison comparison = compare({}, data, options);
  EXPECT_EQ(comparison.strategies[0].diverged, 3);
  EXPECT_EQ(folder.files(), 0u);
}

TEST(CompareFitted, AFolderThatCannotBeIsToldFirst) {
  const Folder folder;
  io::write_file(folder / "file", "no folder");
  CompareOptions options = small(folder / "file");
  options.progress = [](const CompareProgress&) { FAIL() << "something was run"; };
  EXPECT_THROW(compare({source()}, target(), options), IoError);
}

}  // namespace
}  // namespace rtl::transfer
