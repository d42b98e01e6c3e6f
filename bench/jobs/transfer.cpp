// The main job on pictures of CIFAR's size: extract a frozen ResNet-20's features once, then train REFINE's residual
// encoder (paper_cnn) and fused head on them.
#include <memory>

#include "jobs.hpp"
#include "random_values.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/transfer/strategies.hpp"

namespace rtl::bench {
namespace {

constexpr std::int64_t images = 512, classes = 100, epochs = 4;

data::Dataset random_pictures(const Device& device) {
  const Tensor bytes = random_integers(images * 32 * 32 * 3, 256, device, 1);
  const std::vector<std::int32_t> values = bytes.to_vector<std::int32_t>();
  data::Dataset pictures;
  pictures.inputs = Tensor::from(std::vector<std::uint8_t>(values.begin(), values.end()), {images, 32, 32, 3}, device);
  pictures.labels = random_integers(images, classes, device, 2);
  pictures.classes = classes;
  pictures.name = "random pictures";
  return pictures;
}

struct MainJob {
  explicit MainJob(const Device& device) : source(models::resnet_cifar({}, device)), target(random_pictures(device)) {}
  transfer::FrozenSource source;
  data::Dataset target;
};

}  // namespace

Job transfer_main_job(const Settings& settings) {
  const auto state = std::make_shared<MainJob>(Device::cpu(settings.threads));
  // Multiplications of a picture's forward pass; 3x3 convolutions between multiples of 16 channels as F(4x4, 3x3).
  constexpr double first = 3.0 * 32 * 9 * 1024, wide = 32.0 * 64 * 9 * 256 + 64.0 * 64 * 9 * 64;
  constexpr double linear = 1024.0 * 512 + (512 + 64) * classes;
  constexpr double step = 2 * first + (2 * 0.25 + 1) * wide + 3 * linear;
  constexpr double source = 12.2e6 / epochs;
  return {.name = "transfer_main_job",
          .unit = "images/s",
          .units = static_cast<double>(images * epochs),
          .flop = 2 * (step + source),
          .arithmetic =
              "4 epochs on 512 images and one extraction of features; 3x3 convolutions of stride 1 counted as "
              "F(4x4, 3x3), without its transforms; weight gradients direct",
          .run = [state] {
            const transfer::TrainingOptions training{.epochs = epochs};
            (void)transfer::refine({state->source}, state->target, training);
          }};
}

}  // namespace rtl::bench
