// One definition per kernel gives all its checks. A test file registers cases; tests/kernels/kernel_case_test.cpp runs
// each on every device and dtype against its reference, with poisoned outputs, guard bytes, unaligned memory, repeated
// runs, in-place calls and finite differences; and fails for a public kernel without a case.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "support/random.hpp"

namespace rtl::test {

/// Which dtype a buffer has where it is not fixed: the one under test, or the one of parameters that goes with it.
enum class Role : std::uint8_t { activation, parameter };

struct Input {
  std::string name;
  Shape shape;
  Reals values;
  std::optional<DType> dtype = std::nullopt;  ///< absent: by the role
  Role role = Role::activation;
  DType dtype_for(DType tested) const {
    return dtype.value_or(role == Role::parameter ? parameter_dtype(tested) : tested);
  }
};

struct Output {
  std::string name;
  Shape shape;
  /// How many unit roundoffs of the output's dtype, times the scale of an element, its error may reach.
  double roundoffs = 0;
  double roundoffs_f64 = 0;  ///< for f64, where it differs: sums of f32 are accumulated in f64, sums of f64 too
  Reals initial = {};        ///< empty: poisoned before the call
  std::optional<DType> dtype = std::nullopt;
  Role role = Role::activation;
  /// Where it differs, for bf16: of sums in f32 that are not rounded to bf16, say, in roundoffs of the output's dtype.
  double roundoffs_bf16 = 0;
  DType dtype_for(DType tested) const {
    return dtype.value_or(role == Role::parameter ? parameter_dtype(tested) : tested);
  }
};

/// What an output should be. The scale of an element is what its rounding errors are relative to: of a sum, say, the
/// sum of the magnitudes of its terms. Empty: the magnitude of the value.
struct Expected {
  Reals value;
  Reals scale = {};
};

/// What the kernels of layers run in.
inline const std::vector<DType> activation_dtypes = {DType::f32, DType::f64, DType::bf16};

/// Roundoffs of bf16 that a result may be off which is calculated in f32 and rounded once: one, and what some hundreds
/// of roundoffs of f32 add to it.
constexpr double rounded_once = 1.01;
/// The same, or 0 where `roundoffs` say that the result is exact.
constexpr double rounded_once_unless_exact(double roundoffs) { return roundoffs > 0 ? rounded_once : 0; }

struct KernelCase {
  std::string function;  ///< as in the public header
  std::string label;     ///< letters, digits and underscores
  std::vector<Input> inputs;
  std::vector<Output> outputs;
  std::function<void(const Device&, const std::vector<View>& in, const std::vector<View>& out)> run;
  /// From the inputs as stored, and the outputs' initial values as stored.
  std::function<std::vector<Expected>(const std::vector<Reals>& in, const std::vector<Reals>& initial)> reference;
  std::vector<DType> dtypes = {DType::f32, DType::f64};
  /// (output, input): the call also works with the two being one view.
  std::vector<std::pair<std::size_t, std::size_t>> in_place = {};
  /// (output, input): the output is the gradient of `loss` with respect to that input; checked by central differences.
  std::vector<std::pair<std::size_t, std::size_t>> gradients = {};
  std::function<long double(const std::vector<Reals>& in)> loss = {};
};

using CaseMaker = std::function<std::vector<KernelCase>(Random& random)>;

/// Adds the cases of one public kernel; to be called from the initialiser of a static object.
bool register_cases(std::string function, CaseMaker maker);

/// Names a public function that plain tests cover because it has no output buffers.
bool covered_by_plain_test(std::string function);

/// Shapes that are awkward for vectors and warps.
inline const std::vector<std::int64_t> odd_sizes = {1, 31, 33, 1025};

/// Sum of weights[i] * values[i]: a scalar loss on an operation's output.
inline long double dot(const Reals& weights, const Reals& values) {
  long double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) sum += weights[i] * values[i];
  return sum;
}

}  // namespace rtl::test
