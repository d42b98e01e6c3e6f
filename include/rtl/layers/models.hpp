// The model zoo. Programs add architectures of their own by rtl/layers/model.hpp.
//
// * `bert[:base|minilm|LAYERS-WIDTH-HEADS-HIDDEN-VOCABULARY-POOLING]`:
//   BERT of token ids, with Hugging Face's names; MiniLM. POOLING is pooler (tanh of a linear layer of the first
//   position), mean (over real positions; a pooler in the file is left out) or first. Features: WIDTH. Tensors:
//   embeddings, encoder.layer.0.., pooler, classifier.
// * `llama[:stories260k|LAYERS-WIDTH-HEADS-KEY_HEADS-HIDDEN-VOCABULARY[-hf][-epsDIGITS][-thetaTHETA][-untied]]`:
//   Llama of token ids, with llama2.c's or Hugging Face's names ("-hf", whose rotary positions pair the halves of a
//   head). Norms have the epsilon 1e-5 unless "-eps6" says 1e-6, rotary positions the theta 10000 unless
//   "-theta500000" says otherwise; "-untied" that the file had a language head of its own, lm_head, which is left out:
//   features do without it, and language_logits refuses. Features: WIDTH, the mean over real positions behind the last
//   norm. Tensors: tok_embeddings, layers.0.., norm, score.
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
//   residual network of He et al. 2016 for ImageNet, named as in torchvision. Without a variant 18; "wide" has twice
//   the inner channels (Zagoruyko and Komodakis 2016); "-small" has a 3x3 convolution of stride 1 and no pooling in
//   front, for images of 32 pixels. Features: 512, from 50 on 2048, pooled. Tensors: conv1, bn1, layer1.0.., fc.
// * `resnet_cifar[:20|32|44|56]`: residual network of He et al. 2016 for small images, of any depth 6n+2. Features: 64,
//   pooled. Tensors: conv1, bn1, layer1.0.., linear.
// * `text_bag[:WIDTH[-WIDTH..]]`: the mean of word vectors, and linear layers with ReLUs on it, of texts. Without a
//   variant vectors of 64 alone, as of Joulin et al. 2017; with further widths that of Iyyer et al. 2015. Features: the
//   last width. Tensors: embedding, fc1.., head.
// * `transformer[:small|big|PATCH-WIDTH-LAYERS-HEADS-HIDDEN-FEATURES|text-VOCABULARY-WIDTH-..]`:
//   the Transformers of the REFINE paper, of images or token ids (whose padding is zeros, and is seen). Features:
//   FEATURES, behind a ReLU, dropout 0.5. Tensors: patch_embed or embedding, cls_token, pos_embed, layers.0.., fc,
//   head.
// * `vit[:ti16|s16|b16|ti4|s4|b4|PATCH-WIDTH-LAYERS-HEADS-HIDDEN[-hf|-torchvision]]`:
//   vision transformer of Dosovitskiy et al. 2021, and DeiT, with timm's, Hugging Face's or torchvision's names
//   ("-hf"; "-torchvision", and "-torchvision011" of files that older releases wrote). Without a variant ti4.
//   Features: WIDTH, the class token behind the last norm. Tensors: patch_embed.proj, cls_token, pos_embed, blocks.0..,
//   norm, head.
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

struct TextBagOptions {
  std::int64_t vocabulary = 0;
  std::vector<std::int64_t> widths = {64};  ///< of the vectors, then of hidden layers
  std::int64_t classes = 2;
  std::int64_t length = 256;  ///< largest length of a sequence
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
};
/// Of token ids i32 [N, T], padded with -1: vectors, their mean, linear layers with ReLUs; linear. Throws ValueError
/// for a vocabulary or width that is not positive.
std::unique_ptr<layers::Network> text_bag(const TextBagOptions& options, const Device& device);

struct TransformerOptions {
  std::string size = "small";  ///< "small", "big", or sizes
  std::int64_t classes = 10;
  Shape input = {32, 32, 3};  ///< or [T], the length of all sequences, of token ids
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
};
/// Patches or tokens, a class token in front, learned positions, blocks with norms behind the sums, ReLU and dropout
/// 0.1; the class token, linear, ReLU, dropout 0.5; linear.
std::unique_ptr<layers::Network> transformer(const TransformerOptions& options, const Device& device);

struct VitOptions {
  std::string size = "ti4";  ///< "ti16", "s16", "b16", with patches of 4 "ti4", "s4", "b4", or sizes
  std::int64_t classes = 10;
  Shape input = {32, 32, 3};
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
};
/// Patches, a class token in front, learned positions, blocks with norms in front and GELU, norm, the class token;
/// linear.
std::unique_ptr<layers::Network> vit(const VitOptions& options, const Device& device);

struct BertOptions {
  std::string size = "base";  ///< "base", "minilm", or sizes
  std::int64_t classes = 2;
  std::int64_t positions = 512;  ///< largest length of a sequence
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
};
/// Of token ids i32 [N, T], padded with -1: word, position and type vectors, norm, blocks with norms behind the sums
/// and GELU, pooling; dropout 0.1, linear.
std::unique_ptr<layers::Network> bert(const BertOptions& options, const Device& device);

struct LlamaOptions {
  std::string size = "stories260k";  ///< or sizes
  std::int64_t classes = 0;          ///< of a head on the mean; none by default
  std::int64_t positions = 512;      ///< largest length of a sequence
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
};
/// Of token ids i32 [N, T], padded with -1: vectors, causal blocks with RMS norms in front, rotary positions, grouped
/// key heads and SwiGLU, RMS norm.
std::unique_ptr<layers::Network> llama(const LlamaOptions& options, const Device& device);

/// The scores of the token that follows each position, [N, T, vocabulary], of a llama: products with the vectors of the
/// tokens ("tied output"), f32 from bf16. Throws ValueError for another architecture, and where the file had a language
/// head of its own.
graph::Value language_logits(layers::Network& network, const graph::Value& ids, const layers::ForwardContext& context);

/// Names of the sizes of paper_cnn and their widths: {"", "32-64-64-512"}, {"h0", "16-32-32-128"}, ...
const std::vector<std::pair<std::string, std::string>>& paper_cnn_sizes();

/// Names of all architectures, those that the program registered too, with their variants, for error texts and help:
/// "paper_cnn[:h0|h1|h2|h3|h4|C1-C2-C3-F]", ...
std::vector<std::string> descriptions();

}  // namespace rtl::models
