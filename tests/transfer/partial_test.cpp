// Partial parameter transfer: what is copied, and the ends of its range.
#include "rtl/transfer/partial_copy.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::quick;

std::map<std::string, std::vector<float>> tensors_of(layers::Network& network) {
  std::map<std::string, std::vector<float>> all;
  const layers::ModuleState state = network.state();
  for (const auto& list : {state.parameters, state.buffers}) {
    for (const auto& entry : list) all[entry.name] = entry.value().to_vector<float>();
  }
  return all;
}

/// Networks of one architecture that differ in every number, running statistics included.
struct Networks {
  explicit Networks(const Device& device, const char* name = "resnet_cifar", const char* variant = "8")
      : from(testing::make(name, variant, {8, 8, 3}, 4, 1, device)),
        to(testing::make(name, variant, {8, 8, 3}, 4, 2, device)) {
    RandomSequence random(5);
    for (layers::Network* network : {from.get(), to.get()}) {
      const layers::ModuleState state = network->state();
      for (const auto& list : {state.parameters, state.buffers}) {
        for (const auto& entry : list) {
          std::vector<float> values(static_cast<std::size_t>(entry.value().count()));
          for (float& value : values) value = static_cast<float>(1 + random.uniform());
          copy_bytes(Tensor::from(values, entry.value().shape(), entry.value().device()), entry.value());
        }
      }
    }
  }
  std::unique_ptr<layers::Network> from, to;
};

PartialCopyOptions part(CopyUnit unit, double fraction, bool head = false, CopyOrder order = CopyOrder::random) {
  return {.unit = unit, .fraction = fraction, .order = order, .head = head, .seed = 3};
}

TEST(PartialCopy, FiltersTakeTheirNormsAlong) {
  for (const Device& device : testing::devices()) {
    const Networks networks(device);
    const auto source = tensors_of(*networks.from), before = tensors_of(*networks.to);
    const PartialCopy report = copy_part(*networks.from, *networks.to, part(CopyUnit::filters, 0.3));
    const auto after = tensors_of(*networks.to);
    ASSERT_EQ(report.layers.size(), 7U);  // a stem, three blocks of two convolutions
    std::set<std::string> seen;
    std::int64_t copied = 0;
    for (const PartialCopy::Layer& layer : report.layers) {
      EXPECT_EQ(static_cast<std::int64_t>(layer.rows.size()), layer.outputs * 3 / 10) << layer.name;
      EXPECT_EQ(layer.tensors.size(), 5U) << "a weight, and scale, shift, mean and variance of its norm";
      for (const std::string& name : layer.tensors) {
        seen.insert(name);
        const std::size_t rows = static_cast<std::size_t>(layer.outputs), width = source.at(name).size() / rows;
        for (std::size_t row = 0; row < rows; ++row) {
          const bool taken = std::binary_search(layer.rows.begin(), layer.rows.end(), static_cast<std::int64_t>(row));
          const auto& expected = taken ? source.at(name) : before.at(name);
          for (std::size_t i = row * width; i < (row + 1) * width; ++i) EXPECT_EQ(after.at(name)[i], expected[i]);
          copied += taken ? static_cast<std::int64_t>(width) : 0;
        }
      }
    }
    EXPECT_EQ(report.copied, copied);
    EXPECT_EQ(seen.size() + 2, source.size()) << "all but the head";
    EXPECT_EQ(after.at("linear.weight"), before.at("linear.weight"));
    EXPECT_EQ(report.to_text().substr(0, 14), "conv1: 4 of 16");
  }
}

TEST(PartialCopy, AtTheEndsNothingOrEverything) {
  const Device device = Device::cpu(1);
  for (const char* name : {"resnet_cifar", "paper_cnn"}) {
    for (const CopyUnit unit : {CopyUnit::filters, CopyUnit::layers, CopyUnit::blocks}) {
      const Networks networks(device, name, std::string(name) == "paper_cnn" ? "4-4-8-16" : "8");
      const auto source = tensors_of(*networks.from), before = tensors_of(*networks.to);
      EXPECT_EQ(copy_part(*networks.from, *networks.to, part(unit, 0, true)).copied, 0);
      EXPECT_EQ(tensors_of(*networks.to), before);
      const PartialCopy report = copy_part(*networks.from, *networks.to, part(unit, 1, true));
      EXPECT_EQ(report.copied, report.numbers);
      EXPECT_EQ(tensors_of(*networks.to), source);
    }
  }
}

TEST(PartialCopy, LayersAndBlocksAreWhole) {
  const Device device = Device::cpu(1);
  const auto copied = [&](CopyUnit unit, double fraction, CopyOrder order) {
    const Networks networks(device);
    const auto source = tensors_of(*networks.from);
    copy_part(*networks.from, *networks.to, part(unit, fraction, false, order));
    std::set<std::string> names;
    for (const auto& [name, values] : tensors_of(*networks.to)) {
      if (values == source.at(name)) names.insert(name);
    }
    return names;
  };
  const std::set<std::string> stem{"conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"};
  EXPECT_EQ(copied(CopyUnit::layers, 1.0 / 7, CopyOrder::first), stem);
  EXPECT_EQ(copied(CopyUnit::blocks, 0.25, CopyOrder::first), stem);
  const auto two = copied(CopyUnit::blocks, 0.5, CopyOrder::first);
  EXPECT_EQ(two.size(), 15U) << "the stem, and a block of two convolutions";
  EXPECT_TRUE(two.contains("layer1.0.bn2.running_var"));
  EXPECT_EQ(copied(CopyUnit::layers, 3.0 / 7, CopyOrder::random).size(), 15U);
}

TEST(PartialCopy, RefusesWhatDiffers) {
  const Device device = Device::cpu(1);
  const auto eight = testing::make("resnet_cifar", "8", {8, 8, 3}, 4, 1, device);
  const auto more = testing::make("resnet_cifar", "14", {8, 8, 3}, 4, 1, device);
  const auto classes = testing::make("resnet_cifar", "8", {8, 8, 3}, 5, 1, device);
  EXPECT_THROW(copy_part(*eight, *more, {}), ShapeError);
  EXPECT_NO_THROW(copy_part(*eight, *classes, {}));
  EXPECT_THROW(copy_part(*eight, *classes, part(CopyUnit::filters, 0.5, true)), ShapeError);
  EXPECT_THROW(copy_part(*eight, *eight, part(CopyUnit::filters, 1.5)), ValueError);
  EXPECT_THROW(copy_part(*eight, *eight, part(CopyUnit::filters, NAN)), ValueError);
}

TEST(Partial, WithoutAFractionIsScratchAndWithAllIsTheSource) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source(testing::make("resnet_cifar", "8", {8, 8, 3}, 4, 3, device), data::Normalization::half);
    StrategyOptions options;
    options.model = "resnet_cifar:8";
    options.normalization = data::Normalization::half;
    const auto values = [&](const std::string& name, std::int64_t epochs) {
      return testing::values_of(fit(name, {source}, data, quick(epochs), options).state());
    };
    const std::vector<float> alone = testing::values_of(scratch(data, quick(2), options).state());
    for (const char* unit : {"filters", "layers", "blocks"}) {
      const std::string name = std::string("partial:copy_unit=") + unit;
      EXPECT_TRUE(testing::same_bytes(values(name + ":copy_fraction=0:head_start=auto", 2), alone));
      EXPECT_TRUE(testing::same_bytes(values(name + ":copy_fraction=1", 2), values("fine-tune", 2)));
      EXPECT_TRUE(testing::same_bytes(values(name + ":copy_fraction=1:head_start=auto", 0),
                                      values("fine-tune:head_start=pretrained", 0)));
    }
    EXPECT_FALSE(testing::same_bytes(values("partial", 0), values("partial:copy_fraction=0", 0)));
  }
}

}  // namespace
}  // namespace rtl::transfer
