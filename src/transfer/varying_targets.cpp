#include "transfer/varying_targets.hpp"

#include <fmt/format.h>

#include <vector>

#include "rtl/core/error.hpp"

namespace rtl::transfer::detail {

void check_scorable(const data::Dataset& test) {
  test.validate(false);
  if (!test.is_regression()) return;
  if (all_vary(test.targets.to_vector<float>(), static_cast<std::size_t>(test.outputs()))) return;
  throw ValueError(fmt::format(
      "data set '{}': a target has one value alone in all {} test samples, so that R^2 is not defined; take "
      "other samples for the test",
      test.name, test.size()));
}

}  // namespace rtl::transfer::detail
