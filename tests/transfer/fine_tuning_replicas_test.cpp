// Strategies that train a source, at once for several seeds: each seed ends as alone.
#include <gtest/gtest.h>

#include "rtl/transfer/compare.hpp"
#include "transfer/sources.hpp"

namespace rtl::transfer {
namespace {

TEST(FineTuningReplicas, EndAsAlone) {
  for (const Device& device : testing::devices()) {
    SCOPED_TRACE(device.name());
    const FrozenSource source = testing::residual_source(device);
    const data::TrainTest target{testing::make_images(1, 40, 4, 8, device), testing::make_images(2, 30, 4, 8, device)};
    CompareOptions options;
    options.strategy.model = "paper_cnn:4-4-8-16";
    options.training = testing::quick(2);
    options.strategies = {"fine-tune:last=2",
                          "fine-tune:layer_decay=0.5:probe_epochs=1",
                          "l2sp-fine-tune",
                          "bitfit",
                          "lora:all",
                          "ia3",
                          "adapter",
                          "adapter:blocks",
                          "stochastic-norm",
                          "bss",
                          "delta",
                          "delta:even"};
    options.seeds = 3;
    options.train_samples = 24;
    options.threads_per_run = 1;
    options.replicas = 1;
    const Comparison alone = compare({source}, target, options);
    options.replicas = 3;
    const Comparison together = compare({source}, target, options);
    ASSERT_EQ(alone.strategies.size(), together.strategies.size());
    for (std::size_t i = 0; i < alone.strategies.size(); ++i) {
      SCOPED_TRACE(alone.strategies[i].name);
      EXPECT_EQ(alone.strategies[i].accuracy.values, together.strategies[i].accuracy.values);
      EXPECT_EQ(alone.strategies[i].losses, together.strategies[i].losses);
      EXPECT_EQ(alone.strategies[i].trainable_parameters, together.strategies[i].trainable_parameters);
      ASSERT_EQ(alone.strategies[i].accuracy.values.size(), 3U);
    }
  }
}

}  // namespace
}  // namespace rtl::transfer
