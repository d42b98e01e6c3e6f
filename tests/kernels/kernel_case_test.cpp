// Runs every registered kernel case, and checks that no public kernel is without one.
#include "support/kernel_case.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <regex>
#include <set>

#include "support/devices.hpp"
#include "support/guarded.hpp"
#include "support/paths.hpp"

namespace rtl::test {
namespace {

std::map<std::string, CaseMaker>& makers() {
  static std::map<std::string, CaseMaker> all;
  return all;
}

std::set<std::string>& plain() {
  static std::set<std::string> all;
  return all;
}

const std::vector<KernelCase>& cases() {
  static const std::vector<KernelCase> all = [] {
    std::vector<KernelCase> made;
    std::uint64_t stream = 0;
    for (const auto& [function, maker] : makers()) {
      Random random(++stream);
      for (KernelCase& kernel_case : maker(random)) {
        kernel_case.function = function;
        made.push_back(std::move(kernel_case));
      }
    }
    return made;
  }();
  return all;
}

long double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return 0x1p-24L;
    case DType::f64:
      return 0x1p-53L;
    case DType::bf16:
      return 0x1p-8L;
    case DType::f16:
      return 0x1p-11L;
    default:
      return 0;
  }
}

/// Below this, results are subnormal and relative bounds mean nothing.
long double smallest_normal(DType dtype) {
  if (dtype == DType::f64) return std::numeric_limits<double>::min();
  return dtype == DType::f16 ? 0x1p-14L : static_cast<long double>(std::numeric_limits<float>::min());
}

/// One call on fresh guarded memory.
struct Call {
  std::vector<Guarded> inputs, outputs;
  std::vector<View> in, out;
  std::vector<Reals> stored, initial;
  std::vector<std::vector<std::byte>> bytes;

  Call(const KernelCase& c, DType dtype, const Device& device, std::int64_t skew,
       const std::vector<std::pair<std::size_t, std::size_t>>& in_place = {}) {
    inputs.reserve(c.inputs.size());
    outputs.reserve(c.outputs.size());
    for (const Input& input : c.inputs) {
      inputs.emplace_back(input.shape, input.dtype_for(dtype), device, skew);
      inputs.back().write(input.values);
      in.push_back(inputs.back().view());
      stored.push_back(inputs.back().read());
      bytes.push_back(inputs.back().raw());
    }
    for (const Output& output : c.outputs) {
      outputs.emplace_back(output.shape, output.dtype_for(dtype), device, skew);
      if (!output.initial.empty()) outputs.back().write(output.initial);
      out.push_back(outputs.back().view());
      initial.push_back(output.initial.empty() ? Reals() : outputs.back().read());
    }
    for (const auto& [output, input] : in_place) out[output] = in[input];
    c.run(device, in, out);
    device.synchronize();
  }

  /// Bytes of output `index`, wherever it was written.
  Guarded& written(std::size_t index, const std::vector<std::pair<std::size_t, std::size_t>>& in_place = {}) {
    for (const auto& [output, input] : in_place) {
      if (output == index) return inputs[input];
    }
    return outputs[index];
  }
};

/// Of an output of `dtype` in a case that runs in `tested`.
double allowed_roundoffs(const Output& output, DType dtype, DType tested) {
  if (tested == DType::bf16 && output.roundoffs_bf16 > 0) return output.roundoffs_bf16;
  return dtype == DType::f64 && output.roundoffs_f64 > 0 ? output.roundoffs_f64 : output.roundoffs;
}

void expect_near(const Output& output, const Expected& expected, const Reals& got, DType dtype, DType tested) {
  ASSERT_EQ(expected.value.size(), got.size()) << "the reference of '" << output.name << "' has another size";
  const long double roundoff = unit_roundoff(dtype);
  const double allowed = allowed_roundoffs(output, dtype, tested);
  std::size_t shown = 0;
  for (std::size_t i = 0; i < got.size() && shown < 5; ++i) {
    const long double want = expected.value[i];
    const bool same = got[i] == want || (std::isnan(got[i]) && std::isnan(want));
    if (same) continue;
    const long double scale = expected.scale.empty() ? std::fabs(want) : expected.scale[i];
    const long double error = std::fabs(got[i] - want);
    const long double bound = allowed * roundoff * std::max(scale, smallest_normal(dtype));
    if (error <= bound) continue;
    ++shown;
    ADD_FAILURE() << fmt::format(
        "'{}' {}: element {} is {:.17g}, not {:.17g}: {:.3g} unit roundoffs of {:.3g}, {} allowed", output.name,
        output.shape.to_string(), i, static_cast<double>(got[i]), static_cast<double>(want),
        static_cast<double>(error / (roundoff * scale)), static_cast<double>(scale), allowed);
  }
}

void check_call(const KernelCase& c, DType dtype, const Device& device, std::int64_t skew,
                const std::vector<std::pair<std::size_t, std::size_t>>& in_place) {
  Call call(c, dtype, device, skew, in_place);
  const std::vector<Expected> expected = c.reference(call.stored, call.initial);
  ASSERT_EQ(expected.size(), c.outputs.size());
  for (std::size_t i = 0; i < c.outputs.size(); ++i) {
    Guarded& written = call.written(i, in_place);
    expect_near(c.outputs[i], expected[i], written.read(), written.dtype(), dtype);
    EXPECT_TRUE(written.intact()) << "written outside '" << c.outputs[i].name << "'";
  }
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    bool shared = false;
    for (const auto& pair : in_place) shared = shared || pair.second == i;
    if (shared) continue;
    EXPECT_TRUE(call.inputs[i].intact()) << "written outside '" << c.inputs[i].name << "'";
    EXPECT_TRUE(call.inputs[i].raw() == call.bytes[i]) << "'" << c.inputs[i].name << "' was changed";
  }
}

void check_repeats(const KernelCase& c, DType dtype, const Device& device) {
  Call first(c, dtype, device, 0), second(c, dtype, device, 0);
  for (std::size_t i = 0; i < c.outputs.size(); ++i) {
    EXPECT_TRUE(first.outputs[i].raw() == second.outputs[i].raw())
        << "two runs gave different bytes in '" << c.outputs[i].name << "'";
  }
}

/// Central differences of the loss, of fourth order. References compute with 64-bit mantissas, so a step of 1e-4 leaves
/// errors of about 1e-14 from rounding and, where the loss bends on a scale of 0.03, 1e-10 from the fifth derivative.
long double derivative(const KernelCase& c, std::vector<Reals>& at, std::size_t input, std::size_t element) {
  constexpr long double step = 1e-4L;
  const long double centre = at[input][element];
  const auto moved = [&](long double steps) {
    at[input][element] = centre + steps * step;
    return c.loss(at);
  };
  const long double slope = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * step);
  at[input][element] = centre;
  return slope;
}

void check_gradients(const KernelCase& c, const Device& device) {
  constexpr long double tolerance = 1e-7L;
  constexpr std::size_t most_elements = 12;
  Call call(c, DType::f64, device, 0);
  for (const auto& [output, input] : c.gradients) {
    const Reals got = call.outputs[output].read();
    std::vector<Reals> at = call.stored;
    long double largest = 1;
    for (const long double value : got) largest = std::max(largest, std::fabs(value));
    const std::size_t stride = std::max<std::size_t>(1, got.size() / most_elements);
    for (std::size_t i = 0; i < got.size(); i += stride) {
      EXPECT_NEAR(static_cast<double>(got[i]), static_cast<double>(derivative(c, at, input, i)),
                  static_cast<double>(tolerance * largest))
          << "gradient '" << c.outputs[output].name << "' element " << i;
    }
  }
}

class KernelCases : public testing::TestWithParam<std::size_t> {};

TEST_P(KernelCases, AgreeWithTheirReference) {
  const KernelCase& c = cases()[GetParam()];
  SCOPED_TRACE(fmt::format("RTL_TEST_SEED={}", seed()));
  // What the order of threads can change shows in any call; the rest is checked in the usual order.
  const bool another_order = std::getenv("RTL_EMULATION_ORDER") != nullptr;
  for (const Device& device : devices_and_threads()) {
    for (const DType dtype : c.dtypes) {
      SCOPED_TRACE(fmt::format("{} {} in {} on {}", c.function, c.label, rtl::name_of(dtype), name_of(device)));
      check_call(c, dtype, device, 0, {});
      if (another_order) continue;
      check_call(c, dtype, device, 1, {});
      if (!c.in_place.empty()) check_call(c, dtype, device, 0, c.in_place);
      check_repeats(c, dtype, device);
    }
    if (!c.gradients.empty() && !another_order) {
      SCOPED_TRACE(fmt::format("gradients of {} {} on {}", c.function, c.label, name_of(device)));
      check_gradients(c, device);
    }
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, KernelCases, testing::Range(std::size_t{0}, cases().size()),
                         [](const testing::TestParamInfo<std::size_t>& info) {
                           const KernelCase& c = cases()[info.param];
                           return c.function + "_" + c.label;
                         });

/// Names of the functions that a header declares at the start of a line.
std::set<std::string> functions_of(const std::filesystem::path& header) {
  std::ifstream file(header);
  const std::regex declaration(R"(^(?:void|bool|std::int64_t)\s+(\w+)\()");
  std::set<std::string> names;
  for (std::string line; std::getline(file, line);) {
    std::smatch match;
    if (std::regex_search(line, match, declaration)) names.insert(match[1]);
  }
  return names;
}

/// All text of the kernel benchmarks.
std::string benchmark_text() {
  std::string text;
  const std::filesystem::path folder = test::source_folder() + "/bench/kernels";
  if (!std::filesystem::exists(folder)) return text;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path());
    text.append(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return text;
}

std::set<std::string> public_kernels() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(test::source_folder() + "/include/rtl/kernels")) {
    names.merge(functions_of(entry.path()));
  }
  return names;
}

TEST(KernelCoverage, EveryPublicKernelHasACase) {
  const std::set<std::string> names = public_kernels();
  const std::string benchmarks = benchmark_text();
  EXPECT_GT(names.size(), 30u);
  for (const std::string& name : names) {
    if (!benchmarks.empty() && name != "conv2d_extent" && name != "conv2d_padding") {  // no kernels
      EXPECT_NE(benchmarks.find(name), std::string::npos) << "'" << name << "' has no benchmark in bench/kernels";
    }
    EXPECT_TRUE(makers().contains(name) || plain().contains(name))
        << "'" << name << "' has no case: see tests/support/kernel_case.hpp";
  }
  for (const auto& [name, maker] : makers()) {
    EXPECT_TRUE(names.contains(name)) << "cases are registered for '" << name << "', which no public header declares";
  }
}

}  // namespace

bool register_cases(std::string function, CaseMaker maker) {
  return makers().emplace(std::move(function), std::move(maker)).second;
}

bool covered_by_plain_test(std::string function) { return plain().insert(std::move(function)).second; }

}  // namespace rtl::test
