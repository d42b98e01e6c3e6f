// The parts of `rtl reproduce ensemble`.
#pragma once

#include <string>
#include <vector>

#include "studies/store.hpp"

namespace rtl::studies::ensemble {

/// What runs of simulations and networks have.
struct Runs {
  int seeds = 10;  ///< of the multi-view problem
  std::string state = {};
  bool networks = false;                                       ///< whether networks are trained, too
  std::string data = {};                                       ///< the folder of their images
  std::vector<std::string> sources = {"cifar10", "cifar100"};  ///< what they are pretrained on

  Store store(const RunOptions& options) const;
};

/// Transfer bias and the coupon collector: closed forms against enumeration; the budgets.
void identities(Reproduction& result, const RunOptions& options);
/// Concatenated short runs against long, wide, untrained and equal ones, where classes have several views.
void multi_view(Reproduction& result, const RunOptions& options, const Runs& runs);
/// The same with real images: CIFAR-10 to CIFAR-100.
void networks(Reproduction& result, const RunOptions& options, const Runs& runs);

}  // namespace rtl::studies::ensemble
