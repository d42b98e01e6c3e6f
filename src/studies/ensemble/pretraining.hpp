// Networks that are pretrained on images: members of ensembles, and what these are compared with.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "rtl/transfer/source.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::studies::ensemble {

/// How much is trained, and with what.
struct Recipe {
  std::int64_t width = 8;                             ///< of the first stage of a member
  std::int64_t source_images = 0, target_images = 0;  ///< drawn by the seed; 0: all
  int epochs = 0;                                     ///< T
  double rate = .05;                                  ///< of SGD, at the beginning of each run
  double decay = 5e-4;
  std::string augmentation = "none";  ///< as transfer::parse_augmentation reads it

  std::string text() const;
};

/// Pretrainings of one seed. Each run has a rate that falls to zero along half a cosine, however long it is.
class Pretraining {
 public:
  /// What is given must outlive it. `stop` ends a run; what that gives is of no use.
  Pretraining(const data::Dataset& samples, const Recipe& recipe, std::uint64_t seed, const Device& device,
              const std::function<bool()>& stop);

  /// A network whose weights and order of samples are those of a member.
  transfer::FrozenSource untrained(int member) const;
  transfer::FrozenSource member(int member, int epochs) const;
  /// Twice the channels of a member everywhere, for T epochs.
  transfer::FrozenSource wide() const;
  /// So many members side by side with one head, trained together for T epochs.
  transfer::FrozenSource towers(int count) const;
  /// One run of T epochs in so many cycles, as the strategy `snapshots` has them.
  std::vector<transfer::FrozenSource> snapshots(int count) const;
  /// A network of a member's size that learns for T epochs what the teachers say, as the strategy `ensemble-distill`
  /// with a head for each of them does it, and nothing else.
  transfer::FrozenSource distilled(const std::vector<transfer::FrozenSource>& teachers) const;

 private:
  std::uint64_t seed_of(int member) const;
  std::string member_variant() const { return std::to_string(recipe_.width); }
  std::unique_ptr<layers::Network> network(const std::string& variant, std::uint64_t seed) const;
  transfer::FrozenSource trained(const std::string& variant, std::uint64_t seed, int epochs) const;
  transfer::TrainingOptions training(std::uint64_t seed, int epochs) const;

  const data::Dataset& samples_;
  const Recipe& recipe_;
  std::uint64_t seed_;
  Device device_;
  const std::function<bool()>& stop_;
};

}  // namespace rtl::studies::ensemble
