// Damaged files of feature maps and accumulated sums: found, or without effect.
#include <gtest/gtest.h>

#include "rtl/core/error.hpp"
#include "rtl/solvers/feature_map.hpp"
#include "rtl/solvers/gram_stream.hpp"
#include "support/damage.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::solvers {
namespace {

using test::content_of;
using test::TemporaryFolder;

Tensor some_numbers(std::uint64_t seed, const Shape& shape) {
  RandomSequence random(seed);
  std::vector<double> values(static_cast<std::size_t>(shape.count()));
  for (double& value : values) value = random.normal();
  return Tensor::from(values, shape, Device::cpu(1));
}

/// How many damaged copies of a file are read without an error and are not the same.
template <typename Same>
int silently_wrong(const TemporaryFolder& folder, const std::string& path, const Same& same) {
  const std::string whole = content_of(path);
  RandomSequence random(test::seed());
  int wrong = 0;
  for (int i = 0; i < test::damages; ++i) {
    try {
      wrong += same(folder.write("damaged", test::damaged_copy(whole, random))) ? 0 : 1;
    } catch (const FormatError&) {
      continue;  // found
    }
  }
  return wrong;
}

TEST(SolverDamage, OfAFeatureMapIsFound) {
  const TemporaryFolder folder;
  const FeatureMap map(some_numbers(1, {5, 3}), {"bayes", 0.1, 20, 0.5, 1.25});
  map.save(folder / "map");
  const auto same = [&](const std::string& path) {
    const FeatureMap read = FeatureMap::load(path);
    const auto &a = read.facts(), &b = map.facts();
    return read.matrix().to_vector<double>() == map.matrix().to_vector<double>() && a.kind == b.kind &&
           a.penalty == b.penalty && a.samples == b.samples && a.noise == b.noise && a.expected_risk == b.expected_risk;
  };
  ASSERT_TRUE(same(folder / "map"));
  EXPECT_EQ(silently_wrong(folder, folder / "map", same), 0) << "seed " << test::seed();
}

TEST(SolverDamage, OfAccumulatedSumsIsFound) {
  const TemporaryFolder folder;
  const Device device = Device::cpu(1);
  GramAccumulator sums(device, 4, 2);
  sums.add(some_numbers(2, {9, 4}), some_numbers(3, {9, 2}));
  sums.save(folder / "sums");
  const auto same = [&](const std::string& path) {
    const GramAccumulator read = GramAccumulator::load(path, device);
    return read.features() == sums.features() && read.outputs() == sums.outputs() && read.rows() == sums.rows() &&
           read.counted_rows() == sums.counted_rows() && read.total_weight() == sums.total_weight() &&
           read.means().to_vector<double>() == sums.means().to_vector<double>() &&
           read.products().to_vector<double>() == sums.products().to_vector<double>();
  };
  ASSERT_TRUE(same(folder / "sums"));
  EXPECT_EQ(silently_wrong(folder, folder / "sums", same), 0) << "seed " << test::seed();
}

}  // namespace
}  // namespace rtl::solvers
