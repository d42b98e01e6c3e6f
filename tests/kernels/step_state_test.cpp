#include "rtl/kernels/step_state.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::Counters;

const bool advance_registered = register_cases("advance", [](Random& random) {
  std::vector<KernelCase> cases;
  constexpr std::int64_t batches = 7, batch_size = 33;
  for (const std::int64_t replicas : {0, 1, 3, 65}) {
    for (const DType stored : {DType::f32, DType::f64}) {
      KernelCase c;
      c.label = fmt::format("{}_replicas_{}", replicas, rtl::name_of(stored));
      const std::int64_t copies = std::max<std::int64_t>(replicas, 1);
      const Reals batch = random.below({copies}, batches);
      Reals counters;
      for (std::int64_t r = 0; r < copies; ++r) {
        const long double own = batch[static_cast<std::size_t>(r)];
        counters.insert(counters.end(), {static_cast<long double>(r), 100 + own, batch_size * own, own});
      }
      const auto stack = [&](std::int64_t extent) { return replicas == 0 ? Shape{extent} : Shape{replicas, extent}; };
      c.inputs = {{"loss", stack(1), random.normal({copies})}};
      c.outputs = {{"counters", stack(4), 0, 0, counters, DType::i64},
                   {"losses", stack(batches), 1, 0, random.normal({copies * batches}), stored}};
      c.run = [](const Device& device, auto& in, auto& out) {
        kernels::advance(device, out[0], out[1], in[0], batch_size);
      };
      c.reference = [](auto& in, auto initial) {
        for (std::size_t r = 0; r < in[0].size(); ++r) {
          long double* own = initial[0].data() + 4 * r;
          initial[1][r * batches + static_cast<std::size_t>(own[Counters::batch])] = in[0][r];
          own[Counters::step] += 1;
          own[Counters::begin] += batch_size;
          own[Counters::batch] += 1;
        }
        return std::vector<Expected>{{initial[0]}, {initial[1]}};
      };
      cases.push_back(c);
    }
  }
  return cases;
});

}  // namespace
}  // namespace rtl::test
