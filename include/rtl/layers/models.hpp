// The model zoo.
//
// | name          | variants                              | penultimate features      | names of tensors         |
// |---------------|---------------------------------------|---------------------------|--------------------------|
// | paper_cnn     | "" (32-64-64-512), h0 .. h4,          | F, behind a ReLU,         | conv1..3, fc1, head      |
// |               | "C1-C2-C3-F"                          | dropout 0.5               |                          |
// | paper_big_cnn | ""                                    | 2560, behind a ReLU,      | conv1..6, fc1, head      |
// |               |                                       | dropout 0.5               |                          |
// | mlp           | hidden widths "128-64"; "" is 128;    | the last width, behind a  | fc1.., head              |
// |               | "none" has no hidden layer            | ReLU; the inputs          |                          |
// | resnet_cifar  | "20" (also ""), "32", "44", "56",     | 64, pooled                | conv1, bn1, layer1.0..,  |
// |               | any 6n+2                              |                           | linear                   |
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

/// Names of the architectures with their variants, for error texts and help: "paper_cnn[:h0..h4|C1-C2-C3-F]", ...
std::vector<std::string> descriptions();

}  // namespace rtl::models
