#include "rtl/data/label_flips.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

constexpr std::int64_t classes = 10;

std::vector<std::int32_t> labels_of(std::size_t count) {
  std::vector<std::int32_t> labels(count);
  for (std::size_t i = 0; i < count; ++i) labels[i] = static_cast<std::int32_t>(i % classes);
  return labels;
}

TEST(LabelFlips, FlipsTheStatedShareToTheOthersEqually) {
  const std::vector<std::int32_t> labels = labels_of(100'000);
  const std::vector<std::int32_t> flipped = flipped_labels(labels, classes, {.probability = 0.8, .seed = 1}, 0);
  std::vector<int> moves(classes);
  for (std::size_t i = 0; i < labels.size(); ++i) ++moves[static_cast<std::size_t>((flipped[i] - labels[i] + 10) % 10)];
  // Binomial: five standard deviations.
  EXPECT_NEAR(moves[0], 20'000, 5 * std::sqrt(100'000 * 0.2 * 0.8));
  const double each = 80'000.0 / 9;
  for (std::size_t move = 1; move < moves.size(); ++move) EXPECT_NEAR(moves[move], each, 5 * std::sqrt(each));
}

TEST(LabelFlips, FixedFlipsStayAndOthersAreRedrawn) {
  const std::vector<std::int32_t> labels = labels_of(1000);
  const LabelFlips fixed{.probability = 0.5, .seed = 1};
  const LabelFlips redrawn{.probability = 0.5, .seed = 1, .each_epoch = true};
  EXPECT_EQ(flipped_labels(labels, classes, fixed, 0), flipped_labels(labels, classes, fixed, 7));
  EXPECT_EQ(flipped_labels(labels, classes, redrawn, 7), flipped_labels(labels, classes, redrawn, 7));
  EXPECT_NE(flipped_labels(labels, classes, redrawn, 0), flipped_labels(labels, classes, redrawn, 1));
  EXPECT_NE(flipped_labels(labels, classes, fixed, 0), flipped_labels(labels, classes, redrawn, 0));
  EXPECT_NE(flipped_labels(labels, classes, fixed, 0),
            flipped_labels(labels, classes, {.probability = 0.5, .seed = 2}, 0));
  EXPECT_EQ(flipped_labels(labels, classes, redrawn, 3)[17], flipped_label(labels[17], classes, redrawn, 17, 3));
}

TEST(LabelFlips, ExtremesAreExact) {
  const std::vector<std::int32_t> labels = labels_of(1000);
  EXPECT_EQ(flipped_labels(labels, classes, {}, 0), labels);
  const std::vector<std::int32_t> all = flipped_labels(labels, classes, {.probability = 1, .seed = 3}, 0);
  for (std::size_t i = 0; i < labels.size(); ++i) EXPECT_NE(all[i], labels[i]);
  const std::vector<std::int32_t> two = flipped_labels(std::vector<std::int32_t>{0, 1}, 2, {.probability = 1}, 0);
  EXPECT_EQ(two, (std::vector<std::int32_t>{1, 0}));
}

TEST(LabelFlips, RefusesWhatIsNoProbability) {
  const std::vector<std::int32_t> labels = {0, 0};
  EXPECT_THROW(flipped_labels(labels, 2, {.probability = 1.5}, 0), ValueError);
  EXPECT_THROW(flipped_labels(labels, 2, {.probability = -0.5}, 0), ValueError);
  EXPECT_THROW(flipped_labels(labels, 2, {.probability = std::nan("")}, 0), ValueError);
  EXPECT_THROW(flipped_labels(labels, 1, {.probability = 0.5}, 0), ValueError);
  EXPECT_THROW(flipped_labels(std::vector<std::int32_t>{2}, 2, {.probability = 0.5}, 0), ValueError);
  EXPECT_NO_THROW(flipped_labels(labels, 1, {}, 0));
}

}  // namespace
}  // namespace rtl::data
