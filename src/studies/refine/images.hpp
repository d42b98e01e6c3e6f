// CIFAR-10 and CIFAR-100 as the parts use them, and sources trained on shares of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/transfer/source.hpp"
#include "studies/refine/trials.hpp"

namespace rtl::studies::refine {

/// How much is trained, and with what: as in the paper but for sizes.
struct Recipe {
  std::string network;  ///< variant of paper_cnn for scratch, h and sources
  std::int64_t source_images = 0, source_epochs = 0;
  std::int64_t target_images = 0, target_epochs = 0;
  std::int64_t batch = 0;
  std::string source_model = "paper_cnn";  ///< paper_cnn has the variant above, every other its only one

  std::string text() const;
};
/// paper_cnn with its own widths, with half of them, and with a quarter for quick runs.
inline constexpr const char *full_width = "32-64-64-512", *half_width = "16-32-32-256", *small = "16-16-32-64";

/// Of networks on CIFAR. No more images than there are: at most half for the source, a third for the target.
Recipe recipe_for(std::int64_t images, const RunOptions& options);

/// SGD with momentum 0.9, rate 0.01, no weight decay.
transfer::TrainingOptions training_for(const Recipe& recipe, std::int64_t epochs, std::uint64_t seed,
                                       const RunOptions& options);

/// CIFAR-10 or CIFAR-100 (fine labels) of the folder of data sets, each pixel the mean of four.
/// Throws what the readers throw.
data::TrainTest load_cifar(const Runs& runs, int classes);
/// Of both parts.
Store::Facts facts_of(const std::vector<const data::TrainTest*>& images, const std::string& recipe);

/// All images in an order drawn from the seed: the source's, then the target's.
struct Division {
  data::Dataset source, target;
};
Division divide(const data::Dataset& images, const Recipe& recipe, std::uint64_t seed);
/// The first rows in an order drawn from the seed.
data::Dataset drawn(const data::Dataset& images, std::int64_t count, std::uint64_t seed);

/// Parts one after the other.
data::Dataset joined(const std::vector<data::Dataset>& parts);

/// The recipe's source network trained on images, frozen.
transfer::FrozenSource train_source(const data::Dataset& images, const Recipe& recipe, const std::string& name,
                                    const transfer::TrainingOptions& training);

/// What strategies train on and are tested on, by the recipe.
Target target_of(data::Dataset train, const data::Dataset& test, const Recipe& recipe, std::uint64_t seed,
                 const RunOptions& options);

/// Accuracy of a source's own head.
double source_accuracy(const transfer::FrozenSource& source, const data::Dataset& test);

}  // namespace rtl::studies::refine
