// What the plans of training steps cost on the host: memory and nodes. tests/emulation/launches_test.cpp counts what
// they start on CUDA.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rtl/layers/network.hpp"
#include "transfer/step.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

graph::PlanFacts facts_of(const layers::Architecture& architecture, std::int64_t batch) {
  const Device device = Device::cpu(1);
  const auto network = layers::make_network(architecture, device, 1);
  WholeNetwork model(*network);
  const data::Dataset dataset = testing::make_zeros(architecture, batch, device);
  const data::InputNormalization normalization = testing::normalization_of(architecture);
  const graph::PlanFacts facts = detail::step_facts({&model, {&dataset, normalization, {}}, {.batch_size = batch}});
  std::cout << fmt::format("{:<20} batch {:>4}: {:>3} nodes, {:>6.1f} MB of {:>6.1f} MB ({:.0f} %)\n",
                           architecture.to_string(), batch, facts.nodes, static_cast<double>(facts.arena_bytes) / 1e6,
                           static_cast<double>(facts.value_bytes) / 1e6,
                           100 * static_cast<double>(facts.arena_bytes) / static_cast<double>(facts.value_bytes));
  return facts;
}

TEST(StepPlan, MemoryIsShared) {
  const graph::PlanFacts resnet = facts_of({"resnet_cifar", "20", {32, 32, 3}, 10}, 128);
  EXPECT_LE(static_cast<double>(resnet.arena_bytes), 0.45 * static_cast<double>(resnet.value_bytes));
  for (const auto& [architecture, batch] : std::vector<std::pair<layers::Architecture, std::int64_t>>{
           {{"paper_cnn", "", {32, 32, 3}, 10}, 64}, {{"mlp", "128", {64}, 10}, 512}}) {
    const graph::PlanFacts facts = facts_of(architecture, batch);
    EXPECT_LT(facts.arena_bytes, facts.value_bytes);
  }
}

}  // namespace
}  // namespace rtl::transfer
