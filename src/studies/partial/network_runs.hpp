// Networks that are trained on some classes of images and give a share of their channels to networks for other classes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "rtl/transfer/training.hpp"

namespace rtl::studies::partial {

/// How much is trained, and with what.
struct NetworkRecipe {
  std::string model;                 ///< "thin_resnet:8"
  std::int64_t upstream_images = 0;  ///< of half of the classes; 0: all
  std::int64_t few_images = 0;       ///< of an upstream that has seen fewer
  std::int64_t downstream_images = 0;
  std::int64_t upstream_epochs = 0, downstream_epochs = 0;
  double noise = .5;  ///< on the images of the noisy upstream, where these are scaled to [-1, 1]
  double rate = .05, decay = 5e-4;
  std::string augmentation = "crop=2,flip";  ///< as transfer::parse_augmentation reads it

  std::string text() const;
};

/// What the upstream network was trained on.
enum class Training : std::uint8_t { images, fewer_images, noisy_images, random_labels, nothing };
const char* to_string(Training training);

/// A downstream training that starts with a share of an upstream network.
struct Start {
  Training upstream = Training::images;
  double alpha = 0;
  std::string unit = "filters";  ///< or "blocks", from the inputs on

  std::string name() const;  ///< "images, filters, alpha 0.5"
};
/// All that are tried.
std::vector<Start> all_starts();

/// Of one seed.
struct NetworkRun {
  double scratch = 0;                        ///< test accuracy downstream
  std::map<std::string, double> accuracies;  ///< of each start, by its name
  std::map<std::string, double> upstream;    ///< test accuracy of upstream networks, by what they were trained on
  double nothing_inherited = 0;              ///< greatest difference of a trained weight, alpha = 0 and scratch
  double all_inherited = 0;  ///< greatest difference of a weight before the head, alpha = 1 at step 0 and upstream
};

/// The samples of these classes, which are numbered anew in the given order.
data::Dataset with_classes(const data::Dataset& samples, const std::vector<std::int64_t>& classes);

/// Halves of the classes, rows and weights are drawn by the seed. `stop` ends trainings; what comes then is of no use.
NetworkRun run_networks(const data::TrainTest& images, const NetworkRecipe& recipe, std::uint64_t seed,
                        const std::function<bool()>& stop);

}  // namespace rtl::studies::partial
