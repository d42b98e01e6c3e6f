// The parts of `rtl reproduce partial`.
#pragma once

#include <string>
#include <vector>

#include "studies/partial/setting.hpp"

namespace rtl::studies::partial {

/// What runs of simulations and networks have.
struct Runs {
  int seeds = 0;  ///< of the simulations; 0: 10 in quick, 20 in full runs
  std::string state = {};
  bool networks = false;  ///< whether networks are trained, too
  std::string data = {};  ///< the folder of their images
  std::vector<std::string> architectures = {"resnet", "vgg"};

  int seeds_for(const RunOptions& options) const { return seeds > 0 ? seeds : options.full() ? 20 : 10; }
  Store store(const RunOptions& options) const;
};

/// What holds exactly: inheriting nothing, inheriting all, the gradient.
void identities(Reproduction& result, const RunOptions& options);
/// All tables, the boundary between gain and loss, and the criteria against them.
void tables(Reproduction& result, const RunOptions& options, const Runs& runs);
/// What inherited and fresh filters are made of, over the steps downstream.
void decomposition(Reproduction& result, const RunOptions& options);
/// Upstream models that know nothing, and inherited filters that are not trained.
void controls(Reproduction& result, const RunOptions& options, const Runs& runs);
/// Channels of residual and plain networks, from one half of the classes of CIFAR-100 to the other.
void networks(Reproduction& result, const RunOptions& options, const Runs& runs);

}  // namespace rtl::studies::partial
