// Trainings of three networks at once beside the same ones after another.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "transfer/support.hpp"

namespace rtl::transfer::testing {

/// A training of a network of its own.
struct NetworkTraining {
  std::unique_ptr<layers::Network> network;
  TrainingData data;
  TrainingOptions options;
};

/// That training number 0, 1 and 2 give the same bytes as replicas and one after another.
inline void expect_replicas_as_separate(const std::function<NetworkTraining(std::uint64_t number)>& training) {
  std::vector<std::vector<float>> results[2];
  for (const bool at_once : {false, true}) {
    std::vector<std::unique_ptr<layers::Network>> networks;
    std::deque<WholeNetwork> models;
    std::vector<Replica> replicas;
    for (std::uint64_t number = 0; number < 3; ++number) {
      NetworkTraining one = training(number);
      networks.push_back(std::move(one.network));
      replicas.push_back({&models.emplace_back(*networks.back()), one.data, one.options});
    }
    if (at_once) train_replicas(replicas);
    for (const Replica& replica : replicas) {
      if (!at_once) train(*replica.model, replica.data, replica.options);
      results[at_once].push_back(values_of(replica.model->state()));
    }
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(same_bytes(results[0][i], results[1][i])) << i;
}

}  // namespace rtl::transfer::testing
