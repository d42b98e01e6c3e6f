#include "rtl/layers/models.hpp"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "core/joined.hpp"
#include "rtl/layers/basic_block.hpp"
#include "rtl/layers/linear.hpp"
#include "rtl/layers/sequential.hpp"

namespace rtl::layers {
namespace {

/// Every network of the zoo: a sequential trunk and a linear head.
class TrunkAndHead final : public Network {
 public:
  struct Parts {
    std::unique_ptr<Sequential> trunk;
    std::int64_t features = 0;
    std::string head_name;
    Initialization head_initialization = Initialization::uniform_fan_in;
    double dropout = 0;
  };

  TrunkAndHead(Architecture architecture, Parts parts, Construction construction)
      : architecture_(std::move(architecture)), parts_(std::move(parts)), construction_(std::move(construction)) {
    if (architecture_.classes != 0) reset_head(architecture_.classes, construction_.seed);
  }

  const Architecture& architecture() const override { return architecture_; }
  std::int64_t feature_count() const override { return parts_.features; }
  double head_dropout() const override { return parts_.dropout; }
  Value features(const Value& x, const ForwardContext& context) override {
    check_input(x);
    return parts_.trunk->forward(x, context);
  }
  Value head(const Value& features, const ForwardContext& context) override {
    return present_head().forward(drop_features(features, context), context);
  }
  void visit_trunk(const std::string& prefix, ModuleState& state) override { parts_.trunk->visit(prefix, state); }
  void visit_head(const std::string& prefix, ModuleState& state) override {
    if (head_) head_->visit(prefix + parts_.head_name + ".", state);
  }
  void reset_head(std::int64_t classes, std::uint64_t seed) override {
    if (classes < 1) {
      throw ValueError(fmt::format("{}: {} classes; at least one is needed", architecture_.to_string(), classes));
    }
    const Construction construction =
        Construction{.device = construction_.device, .seed = seed, .dtype = construction_.dtype}.child(
            parts_.head_name);
    head_ = std::make_unique<Linear>(
        LinearOptions{.inputs = parts_.features, .outputs = classes, .initialization = parts_.head_initialization},
        construction);
    architecture_.classes = classes;
  }

 private:
  Linear& present_head() const {
    if (head_) return *head_;
    throw ValueError(
        fmt::format("{}: it has no head (0 classes); give it one by reset_head", architecture_.to_string()));
  }

  void check_input(const Value& x) const {
    const Shape& input = architecture_.input;
    bool fits = x.defined() && x.shape().rank() == input.rank() + 1;
    for (int axis = 0; fits && axis < input.rank(); ++axis) fits = x.shape()[axis + 1] == input[axis];
    if (!fits) {
      throw ShapeError(fmt::format("{}: the input is {}, but the network takes samples of shape {}",
                                   architecture_.to_string(), x.defined() ? x.shape().to_string() : "not defined",
                                   input.to_string()));
    }
  }

  Architecture architecture_;
  Parts parts_;
  Construction construction_;
  std::unique_ptr<Linear> head_;
};

/// Variant of an mlp that is a head alone.
constexpr std::string_view no_hidden_layer = "none";

/// "32-64-64-512" (commas do too) to numbers. Throws ValueError.
std::vector<std::int64_t> parse_widths(const Architecture& architecture) {
  std::vector<std::int64_t> widths;
  const std::string& text = architecture.variant;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find_first_of("-,", begin), text.size());
    std::int64_t width = 0;
    const auto [stop, fault] = std::from_chars(text.data() + begin, text.data() + end, width);
    if (fault != std::errc() || stop != text.data() + end || width < 1 || width > (1 << 20)) {
      throw ValueError(fmt::format("make_network: '{}' is no architecture; there are {}", architecture.to_string(),
                                   joined(models::descriptions(), ", ")));
    }
    widths.push_back(width);
    begin = end + 1;
  }
  return widths;
}

void check_images(const Architecture& architecture, std::int64_t smallest) {
  const Shape& input = architecture.input;
  if (input.rank() != 3 || input[0] < smallest || input[1] < smallest || input[2] < 1) {
    throw ValueError(fmt::format("{} takes images [H, W, C] of at least {} by {} pixels, not {}",
                                 architecture.to_string(), smallest, smallest, input.to_string()));
  }
}

/// Convolutions of 3x3 with ReLU, the first `pooled` of them with 2x2 max pooling behind; flatten; linear, ReLU.
TrunkAndHead::Parts paper_trunk(const Architecture& architecture, const std::vector<std::int64_t>& channels,
                                std::size_t pooled, std::int64_t features, const Construction& construction) {
  check_images(architecture, std::int64_t{1} << pooled);
  auto trunk = std::make_unique<Sequential>();
  std::int64_t inputs = architecture.input[2];
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const std::string name = fmt::format("conv{}", i + 1);
    trunk->add(name, std::make_unique<Conv2d>(
                         Conv2dLayerOptions{.inputs = inputs, .outputs = channels[i], .kernel = 3, .relu = true},
                         construction.child(name)));
    if (i < pooled) trunk->add(std::make_unique<MaxPool>());
    inputs = channels[i];
  }
  trunk->add(std::make_unique<Flatten>());
  const std::int64_t pixels = (architecture.input[0] >> pooled) * (architecture.input[1] >> pooled);
  trunk->add("fc1",
             std::make_unique<Linear>(LinearOptions{.inputs = inputs * pixels, .outputs = features, .relu = true},
                                      construction.child("fc1")));
  return {.trunk = std::move(trunk), .features = features, .head_name = "head", .dropout = 0.5};
}

TrunkAndHead::Parts paper_cnn_parts(Architecture& architecture, const Construction& construction) {
  Architecture spelled_out = architecture;
  for (const auto& [size, widths] : models::paper_cnn_sizes()) {
    if (architecture.variant == size) spelled_out.variant = widths;
  }
  const std::vector<std::int64_t> widths = parse_widths(spelled_out);
  if (widths.size() != 4) {
    throw ValueError(fmt::format("make_network: {} has {} widths; three of convolutions and one of features are needed",
                                 architecture.to_string(), widths.size()));
  }
  architecture.variant = joined(widths, "-");
  for (const auto& [size, known] : models::paper_cnn_sizes()) {
    if (architecture.variant == known) architecture.variant = size;
  }
  return paper_trunk(architecture, {widths[0], widths[1], widths[2]}, 3, widths[3], construction);
}

TrunkAndHead::Parts paper_big_cnn_parts(Architecture& architecture, const Construction& construction) {
  if (!architecture.variant.empty()) {
    throw ValueError(fmt::format("make_network: '{}': paper_big_cnn has one size", architecture.to_string()));
  }
  return paper_trunk(architecture, {80, 160, 320, 640, 640, 768}, 5, 2560, construction);
}

TrunkAndHead::Parts mlp_parts(Architecture& architecture, const Construction& construction) {
  if (architecture.variant.empty()) architecture.variant = "128";
  std::vector<std::int64_t> hidden;
  if (architecture.variant != no_hidden_layer) {
    hidden = parse_widths(architecture);
    architecture.variant = joined(hidden, "-");
  } else if (architecture.classes == 0) {
    throw ValueError(fmt::format("make_network: {} without a head has no layer at all", architecture.to_string()));
  }
  auto trunk = std::make_unique<Sequential>();
  if (architecture.input.rank() == 3) trunk->add(std::make_unique<Flatten>());
  std::int64_t inputs = architecture.input.count();
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    const std::string name = fmt::format("fc{}", i + 1);
    trunk->add(name, std::make_unique<Linear>(LinearOptions{.inputs = inputs, .outputs = hidden[i], .relu = true},
                                              construction.child(name)));
    inputs = hidden[i];
  }
  return {.trunk = std::move(trunk), .features = inputs, .head_name = "head"};
}

TrunkAndHead::Parts resnet_cifar_parts(Architecture& architecture, const Construction& construction) {
  check_images(architecture, 4);
  if (architecture.variant.empty()) architecture.variant = "20";
  const std::int64_t depth = parse_widths(architecture).front();
  if (depth < 8 || depth % 6 != 2) {
    throw ValueError(
        fmt::format("make_network: {}: a CIFAR ResNet has 6n + 2 layers (20, 32, 44, 56)", architecture.to_string()));
  }
  constexpr auto kaiming = Initialization::kaiming_normal;
  auto trunk = std::make_unique<Sequential>();
  trunk->add("conv1", std::make_unique<Conv2d>(
                          Conv2dLayerOptions{
                              .inputs = architecture.input[2], .outputs = 16, .bias = false, .initialization = kaiming},
                          construction.child("conv1")));
  trunk->add("bn1", std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = 16, .relu = true},
                                                construction.child("bn1")));
  std::int64_t inputs = 16;
  for (int stage = 0; stage < 3; ++stage) {
    for (std::int64_t block = 0; block < (depth - 2) / 6; ++block) {
      const std::int64_t outputs = std::int64_t{16} << stage;
      const std::string name = fmt::format("layer{}.{}", stage + 1, block);
      const int stride = stage > 0 && block == 0 ? 2 : 1;
      trunk->add(name,
                 std::make_unique<BasicBlock>(BasicBlockOptions{.inputs = inputs, .outputs = outputs, .stride = stride},
                                              construction.child(name)));
      inputs = outputs;
    }
  }
  trunk->add(std::make_unique<GlobalAveragePool>());
  return {.trunk = std::move(trunk), .features = 64, .head_name = "linear", .head_initialization = kaiming};
}

}  // namespace

std::unique_ptr<Network> make_network(const Architecture& architecture, const Device& device, std::uint64_t seed,
                                      DType dtype) {
  // Each brings the variant into its usual form.
  using Parts = TrunkAndHead::Parts (*)(Architecture&, const Construction&);
  static constexpr std::pair<std::string_view, Parts> makers[] = {{"paper_cnn", paper_cnn_parts},
                                                                  {"paper_big_cnn", paper_big_cnn_parts},
                                                                  {"mlp", mlp_parts},
                                                                  {"resnet_cifar", resnet_cifar_parts}};
  const Construction construction{.device = device, .seed = seed, .dtype = dtype};
  for (const auto& [name, parts] : makers) {
    if (architecture.name == name) {
      Architecture usual = architecture;
      TrunkAndHead::Parts made = parts(usual, construction);
      return std::make_unique<TrunkAndHead>(std::move(usual), std::move(made), construction);
    }
  }
  throw ValueError(fmt::format("make_network: '{}' is no architecture; there are {}", architecture.to_string(),
                               joined(models::descriptions(), ", ")));
}

}  // namespace rtl::layers

namespace rtl::models {

using layers::make_network;
using layers::Network;

std::unique_ptr<Network> paper_cnn(const PaperCnnOptions& options, const Device& device) {
  return make_network({"paper_cnn", options.size, options.input, options.classes}, device, options.seed, options.dtype);
}

std::unique_ptr<Network> paper_big_cnn(const PaperBigCnnOptions& options, const Device& device) {
  return make_network({"paper_big_cnn", "", options.input, options.classes}, device, options.seed, options.dtype);
}

std::unique_ptr<Network> mlp(const MlpOptions& options, const Device& device) {
  std::string variant = joined(options.hidden, "-");
  if (options.hidden.empty()) variant = layers::no_hidden_layer;
  return make_network({"mlp", std::move(variant), {options.inputs}, options.classes}, device, options.seed,
                      options.dtype);
}

std::unique_ptr<Network> resnet_cifar(const ResnetCifarOptions& options, const Device& device) {
  return make_network({"resnet_cifar", std::to_string(options.depth), options.input, options.classes}, device,
                      options.seed, options.dtype);
}

const std::vector<std::pair<std::string, std::string>>& paper_cnn_sizes() {
  static const std::vector<std::pair<std::string, std::string>> sizes = {
      {"", "32-64-64-512"},    {"h0", "16-32-32-128"},   {"h1", "32-64-64-256"},
      {"h2", "32-64-128-512"}, {"h3", "64-128-128-768"}, {"h4", "64-128-256-1024"}};
  return sizes;
}

std::vector<std::string> descriptions() {
  return {"paper_cnn[:h0|h1|h2|h3|h4|C1-C2-C3-F]", "paper_big_cnn", "mlp[:none|WIDTH[-WIDTH..]]",
          "resnet_cifar[:20|32|44|56]"};
}

}  // namespace rtl::models
