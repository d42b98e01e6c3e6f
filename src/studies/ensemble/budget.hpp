// How a budget of training steps is shared.
#pragma once

namespace rtl::studies::ensemble {

/// Steps of each of so many members: floor(total / members), so that all together take no more than the budget.
constexpr int member_steps(int total, int members) { return total / members; }

}  // namespace rtl::studies::ensemble
