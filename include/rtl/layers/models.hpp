// The model zoo. Programs add architectures of their own by rtl/layers/model.hpp.
//
// * `mlp[:none|WIDTH[-WIDTH..]]`: linear layers with ReLUs between, of vectors or images. Without a variant one hidden
//   layer of 128; "none" has none. Features: the last width, behind a ReLU, or the inputs. Tensors: fc1.., head.
// * `paper_big_cnn`: six convolutions and a linear layer, the source of the REFINE paper. Features: 2560, behind a
// ReLU,
//   dropout 0.5. Tensors: conv1..6, fc1, head.
// * `paper_cnn[:h0|h1|h2|h3|h4|C1-C2-C3-F]`: three convolutions and a linear layer, of the REFINE paper. Without a
//   variant 32-64-64-512. Features: F, behind a ReLU, dropout 0.5. Tensors: conv1..3, fc1, head.
// * `resnet_cifar[:20|32|44|56]`: residual network of He et al. 2016 for small images, of any depth 6n+2. Features: 64,
//   pooled. Tensors: conv1, bn1, layer1.0.., linear.
//
// paper_cnn and paper_big_cnn are the networks of the REFINE paper (Xu, Nakada, Zhang and Li 2025): h0 16-32-32-128,
// h1 32-64-64-256, h2 32-64-128-512, h3 64-128-128-768, h4 64-128-256-1024 are its ablation over the size of h; its
// main experiments use 32-64-64-512. resnet_cifar is that of He, Zhang, Ren and Sun 2016 with parameter-free shortcuts,
// named as in the usual PyTorch checkpoints.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rtl/layers/network.hpp"

namespace rtl::models {

struct PaperCnnOptions {
  std::string size = "";  ///< "", "h0" .. "h4", or "C1-C2-C3-F"
  std::int64_t classes = 10;
  Shape input = {32, 32, 3};  ///< height and width at least 8
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
};
/// Three times 3x3 convolution, ReLU, 2x2 max pooling; linear, ReLU, dropout 0.5; linear.
std::unique_ptr<layers::Network> paper_cnn(const PaperCnnOptions& options, const Device& device);

struct PaperBigCnnOptions {
  std::int64_t classes = 10;
  Shape input = {32, 32, 3};  ///< height and width at least 32
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
};
/// Five times 3x3 convolution (80, 160, 320, 640, 640 channels), ReLU, 2x2 max pooling; convolution to 768, ReLU;
/// linear to 2560, ReLU, dropout 0.5; linear.
std::unique_ptr<layers::Network> paper_big_cnn(const PaperBigCnnOptions& options, const Device& device);

struct MlpOptions {
  std::int64_t inputs = 0;
  std::vector<std::int64_t> hidden = {128};  ///< none: a linear classifier
  std::int64_t classes = 10;
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
};
/// Linear layers with ReLUs between. Throws ValueError for a width that is not positive.
std::unique_ptr<layers::Network> mlp(const MlpOptions& options, const Device& device);

struct ResnetCifarOptions {
  int depth = 20;  ///< 6n + 2
  std::int64_t classes = 10;
  Shape input = {32, 32, 3};
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
};
/// A 3x3 convolution to 16 channels and three stages of n basic blocks (16, 32, 64 channels), global average pooling;
/// linear. Kaiming-normal weights.
std::unique_ptr<layers::Network> resnet_cifar(const ResnetCifarOptions& options, const Device& device);

/// Names of the sizes of paper_cnn and their widths: {"", "32-64-64-512"}, {"h0", "16-32-32-128"}, ...
const std::vector<std::pair<std::string, std::string>>& paper_cnn_sizes();

/// Names of all architectures, those that the program registered too, with their variants, for error texts and help:
/// "paper_cnn[:h0|h1|h2|h3|h4|C1-C2-C3-F]", ...
std::vector<std::string> descriptions();

}  // namespace rtl::models
