// Features of EfficientNet-Lite0 of ImageNet, frozen, on pictures of its own size and of 96 pixels.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "job_data.hpp"
#include "jobs.hpp"
#include "random_values.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/layers/frozen_network.hpp"

namespace rtl::bench {
namespace {

constexpr std::int64_t batch = 32, features = 1280;

struct Features {
  Features(const Device& device, std::int64_t side, Precision precision)
      : network(*layers::load_network(lite0_file(), device, {}, DType::f32, Shape{side, side, 3}).network, precision),
        pictures(random_values({batch, side, side, 3}, device, 41)),
        x(pictures.shape(), activation_dtype(precision, DType::f32), device),
        out({batch, features}, DType::f32, device) {
    kernels::cast(device, pictures, x);
  }
  layers::FrozenNetwork network;
  Tensor pictures, x, out;
};

/// Multiplications of a picture, as bench/peers/torch_peer.py has the layers: kernel, stride, expansion and outputs of
/// each stage's blocks.
double multiplications(std::int64_t side) {
  struct Stage {
    int blocks, kernel, stride, expansion, outputs;
  };
  constexpr Stage stages[] = {{1, 3, 1, 1, 16},  {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80},
                              {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320}};
  double extent = static_cast<double>((side + 1) / 2), all = extent * extent * 27 * 32;
  int inputs = 32;
  for (const Stage& stage : stages) {
    for (int block = 0; block < stage.blocks; ++block) {
      const int inner = inputs * stage.expansion, stride = block == 0 ? stage.stride : 1;
      if (stage.expansion > 1) all += extent * extent * inputs * inner;
      extent = static_cast<double>((static_cast<int>(extent) + stride - 1) / stride);
      all += extent * extent * inner * (stage.kernel * stage.kernel + stage.outputs);
      inputs = stage.outputs;
    }
  }
  return all + extent * extent * inputs * features;
}

Job features_job(const char* name, const Settings& settings, std::int64_t side, Precision precision) {
  const auto state = std::make_shared<Features>(Device::cpu(settings.threads), side, precision);
  if (!settings.data_folder.empty()) {
    io::write_npy(fmt::format("{}/pictures_{}.npy", settings.data_folder, side), state->pictures);
  }
  return {.name = name,
          .unit = "images/s",
          .units = batch,
          .flop = 2 * multiplications(side),
          .arithmetic = "all convolutions counted direct",
          .bf16 = precision == Precision::bf16,
          .run = [state] { state->network.features(state->x, state->out); },
          .result = [state] { return first_numbers(state->out); }};
}

}  // namespace

Job lite0_features(const Settings& settings) { return features_job("lite0_features", settings, 224, Precision::f32); }
Job lite0_features_bf16(const Settings& settings) {
  return features_job("lite0_features_bf16", settings, 224, Precision::bf16);
}
Job lite0_features_96(const Settings& settings) {
  return features_job("lite0_features_96", settings, 96, Precision::f32);
}
Job lite0_features_96_bf16(const Settings& settings) {
  return features_job("lite0_features_96_bf16", settings, 96, Precision::bf16);
}

}  // namespace rtl::bench
