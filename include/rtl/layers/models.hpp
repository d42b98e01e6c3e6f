// The model zoo. Programs add architectures of their own by rtl/layers/model.hpp.
//
// * `densenet[:121|161|169|201]`: densely connected network of Huang et al. 2017, named as in torchvision. Without a
//   variant 121. Features: 1024 (161: 2208, 169: 1664, 201: 1920), pooled. Tensors: features.conv0 .. features.norm5,
//   classifier.
// * `efficientnet_lite[:0]`: EfficientNet-Lite0 (Tan and Le 2019, Liu 2020), named as in its PyTorch conversion.
//   Features: 1280, pooled, dropout 0.2. Tensors: _conv_stem, _bn0, _blocks.0.., _conv_head, _bn1, _fc.
// * `mlp[:none|WIDTH[-WIDTH..]]`: linear layers with ReLUs between, of vectors or images. Without a variant one hidden
//   layer of 128; "none" has none. Features: the last width, behind a ReLU, or the inputs. Tensors: fc1.., head.
// * `paper_big_cnn`: six convolutions and a linear layer, the source of the REFINE paper. Features: 2560, behind a
// ReLU,
//   dropout 0.5. Tensors: conv1..6, fc1, head.
// * `paper_cnn[:h0|h1|h2|h3|h4|C1-C2-C3-F]`: three convolutions and a linear layer, of the REFINE paper. Without a
//   variant 32-64-64-512. Features: F, behind a ReLU, dropout 0.5. Tensors: conv1..3, fc1, head.
// * `paper_demo[:h]`: two 5x5 convolutions and a linear layer, of the REFINE paper's demonstration. Without a variant
//   its source: 64 and 128 channels with batch norms, features 256; h: 32 and 64 channels without, features 128.
//   Tensors: conv1, bn1, conv2, bn2, fc1, head.
// * `resnet[:10|18|34|50|101|152|wide50|wide101[-small]]`:
//   residual network of He et al. 2016 for ImageNet, named as in torchvision. Without a variant 18; "wide" has twice the
//   inner channels (Zagoruyko and Komodakis 2016); "-small" has a 3x3 convolution of stride 1 and no pooling in front,
//   for images of 32 pixels. Features: 512, from 50 on 2048, pooled. Tensors: conv1, bn1, layer1.0.., fc.
// * `resnet_cifar[:20|32|44|56]`: residual network of He et al. 2016 for small images, of any depth 6n+2. Features: 64,
//   pooled. Tensors: conv1, bn1, layer1.0.., linear.
// * `vgg[:11|13|16|19[-bn]]`: plain convolutional network of Simonyan and Zisserman 2015, named as in torchvision.
//   Without a variant 16. Features: 4096, behind a ReLU, dropout 0.5. Tensors: features.0.., classifier.0,
//   classifier.3, classifier.6.
//
// densenet, efficientnet_lite, resnet and resnet_cifar average over all positions at their end, so that they take
// images of any size that their strides leave something of.
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
