// The published Llama of 260,000 parameters: its scores against an independent implementation, and the story it tells.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "rtl/graph/plan.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/layers/models.hpp"
#include "support/devices.hpp"
#include "support/real_data.hpp"
#include "support/recorded.hpp"

namespace rtl::layers {
namespace {

constexpr const char* model = "models/stories260K.safetensors";
constexpr const char* golden_ids = "golden/stories260K_greedy_ids128.npy";
constexpr const char* golden_logits = "golden/stories260K_logits_pos128.npy";
constexpr std::int64_t positions = 128, vocabulary = 512;

std::int32_t best_of(const std::vector<float>& logits, std::size_t row) {
  const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(row * vocabulary);
  return static_cast<std::int32_t>(std::max_element(begin, begin + vocabulary) - begin);
}

TEST(RealDataStories, LogitsAreThoseOfAnotherImplementation) {
  RTL_NEEDS_REAL_DATA(model);
  for (const Device& device : test::devices()) {
    const LoadedNetwork loaded = load_network(test::real_data(model), device);
    EXPECT_EQ(loaded.network->architecture().to_string(), "llama:stories260k");
    const Tensor ids = io::read_npy(test::real_data(golden_ids), Device::cpu());
    const std::vector<float> wanted = io::read_npy(test::real_data(golden_logits), Device::cpu()).to_vector<float>();
    const Tensor x = Tensor::from(ids.to_vector<std::int32_t>(), {1, positions}, device);
    const Tensor logits = test::evaluate(
        x, [&](const Value& in) { return models::language_logits(*loaded.network, in, {.frozen = true}); });
    const std::vector<float> found = logits.to_vector<float>();
    ASSERT_EQ(found.size(), wanted.size());
    double largest = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(found[i]) - wanted[i]));
    }
    EXPECT_LT(largest, 1e-4) << device.name();
  }
}

/// A token after the other, with the rest of the row as padding.
TEST(RealDataStories, GreedyDecodingTellsTheStory) {
  RTL_NEEDS_REAL_DATA(model);
  const Device device = Device::cpu();
  const LoadedNetwork loaded = load_network(test::real_data(model), device);
  const std::vector<std::int32_t> wanted = io::read_npy(test::real_data(golden_ids), device).to_vector<std::int32_t>();
  const auto graph = std::make_shared<graph::Graph>(device);
  const Value x = graph->input("ids", {1, positions}, DType::i32);
  const Value logits = models::language_logits(*loaded.network, x, {.frozen = true});
  graph::Execution execution(std::make_shared<const graph::Plan>(graph, std::vector{logits}));
  std::vector<std::int32_t> ids(positions, -1);
  ids[0] = 1;
  for (std::size_t t = 0; t + 1 < ids.size(); ++t) {
    const Tensor row = Tensor::from(ids, {1, positions}, device);
    execution.bind(x, row.view());
    execution.run();
    ids[t + 1] = best_of(test::copy_of(execution.view(logits)).to_vector<float>(), t);
  }
  EXPECT_EQ(ids, wanted);
}

}  // namespace
}  // namespace rtl::layers
