#include "rtl/kernels/ridge_path.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <new>

#include "support/devices.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::RidgePathRows;

/// Results are f64; with f32 operands their rounding errors are f32's.
constexpr double f32_in_f64 = 0x1p29;

const bool sums_registered = register_cases("weighted_column_sums", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const auto& [n, p] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {31, 33}, {1025, 31}, {33, 1025}, {0, 5}, {20011, 3}}) {
    for (const bool weighted : {false, true}) {
      KernelCase c;
      c.label = fmt::format("{}x{}{}", n, p, weighted ? "_weighted" : "");
      c.inputs = {{"x", {n, p + 2}, random.normal({n, p + 2}, 0.5)},
                  {"weights", {n}, random.uniform({n}, 0, 3), DType::f64}};
      c.outputs = {{"sums", {p}, 4 + 2 * std::sqrt(static_cast<double>(n)), 0, {}, DType::f64}};
      c.run = [=](const Device& device, auto& in, auto& out) {
        kernels::weighted_column_sums(device, in[0].slice(1, 1, p + 1), weighted ? ConstView(in[1]) : ConstView(),
                                      out[0]);
      };
      c.reference = [=](auto& in, auto&) {
        Expected sums{Reals(static_cast<std::size_t>(p), 0), Reals(static_cast<std::size_t>(p), 0)};
        for (std::int64_t i = 0; i < n; ++i) {
          for (std::int64_t j = 0; j < p; ++j) {
            const long double term = (weighted ? in[1][static_cast<std::size_t>(i)] : 1) *
                                     in[0][static_cast<std::size_t>(i * (p + 2) + j + 1)];
            sums.value[static_cast<std::size_t>(j)] += term;
            sums.scale[static_cast<std::size_t>(j)] += std::fabs(term);
          }
        }
        return std::vector<Expected>{sums};
      };
      cases.push_back(c);
    }
  }
  return cases;
});

const bool center_registered = register_cases("center_rows", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const auto& [n, p] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {31, 33}, {1025, 31}, {33, 1025}, {0, 5}, {5, 0}}) {
    for (int variant = 0; variant < 4; ++variant) {
      const bool shifted = (variant & 1) != 0, scaled = (variant & 2) != 0;
      for (const DType result : {DType::f32, DType::f64}) {
        KernelCase c;
        c.label = fmt::format("{}x{}{}{}_to_{}", n, p, shifted ? "_shift" : "", scaled ? "_scale" : "",
                              std::string(rtl::name_of(result)));
        c.inputs = {{"x", {n, p + 3}, random.normal({n, p + 3})},
                    {"shift", {p}, random.normal({p}), DType::f64},
                    {"scale", {n}, random.normal({n}), DType::f64}};
        c.outputs = {{"out", {n, p}, 4, 0, {}, result}};
        c.run = [=](const Device& device, auto& in, auto& out) {
          kernels::center_rows(device, in[0].slice(1, 2, p + 2), shifted ? ConstView(in[1]) : ConstView(),
                               scaled ? ConstView(in[2]) : ConstView(), out[0]);
        };
        c.reference = [=](auto& in, auto&) {
          Expected e;
          for (std::int64_t i = 0; i < n; ++i) {
            for (std::int64_t j = 0; j < p; ++j) {
              const long double x = in[0][static_cast<std::size_t>(i * (p + 3) + j + 2)];
              const long double shift = shifted ? in[1][static_cast<std::size_t>(j)] : 0;
              const long double scale = scaled ? in[2][static_cast<std::size_t>(i)] : 1;
              e.value.push_back((x - shift) * scale);
              e.scale.push_back((std::fabs(x) + std::fabs(shift)) * std::fabs(scale));
            }
          }
          return std::vector<Expected>{e};
        };
        cases.push_back(c);
      }
    }
  }
  return cases;
});

struct Path {
  std::int64_t batch, n, r, k, filters;
  std::int64_t penalties = 0;  ///< 0: no mixing
  bool complement = false, intercept_leverage = false;
};

std::string label_of(const Path& p, DType dtype) {
  return fmt::format("b{}_n{}_r{}_k{}_s{}{}{}{}_{}", p.batch, p.n, p.r, p.k, p.filters,
                     p.penalties > 0 ? fmt::format("_mixed{}", p.penalties) : "", p.complement ? "_complement" : "",
                     p.intercept_leverage ? "_leverage" : "", std::string(rtl::name_of(dtype)));
}

/// Basis, targets, rotated, filters, mixing, intercept_leverage: what the sums are made of, in the order of the case's
/// inputs.
class PathReference {
 public:
  PathReference(const Path& path, const std::vector<Reals>& in)
      : p_(path), in_(in), penalties_(path.penalties > 0 ? path.penalties : path.filters) {}

  std::vector<Expected> sums(const std::vector<Reals>& initial) const {
    Expected left_out{initial[0], {}}, residual{initial[1], {}};
    for (const long double value : initial[0]) left_out.scale.push_back(std::fabs(value));
    for (const long double value : initial[1]) residual.scale.push_back(std::fabs(value));
    for (std::int64_t b = 0; b < p_.batch; ++b) {
      for (std::int64_t l = 0; l < penalties_; ++l) {
        for (std::int64_t i = 0; i < p_.n; ++i) {
          for (std::int64_t o = 0; o < p_.k; ++o) {
            add(b, l, i, o, static_cast<std::size_t>((b * penalties_ + l) * p_.k + o), left_out, residual);
          }
        }
      }
    }
    return {left_out, residual};
  }

 private:
  long double at(std::size_t input, std::int64_t place) const { return in_[input][static_cast<std::size_t>(place)]; }

  void add(std::int64_t b, std::int64_t l, std::int64_t i, std::int64_t o, std::size_t where, Expected& left_out,
           Expected& residual) const {
    long double part = 0, part_scale = 0, share = 0, share_scale = 0;
    for (std::int64_t j = 0; j < p_.r; ++j) {
      long double filter = 0, filter_scale = 0;
      for (std::int64_t s = 0; s < p_.filters; ++s) {
        const long double mix = p_.penalties > 0 ? at(4, (b * penalties_ + l) * p_.filters + s) : (s == l ? 1 : 0);
        const long double term = mix * at(3, (b * p_.filters + s) * p_.r + j);
        filter += term;
        filter_scale += std::fabs(term);
      }
      const long double basis = at(0, (b * p_.r + j) * p_.n + i), rotated = at(2, (b * p_.r + j) * p_.k + o);
      part += basis * rotated * filter;
      part_scale += std::fabs(basis * rotated) * filter_scale;
      share += basis * basis * filter;
      share_scale += basis * basis * filter_scale;
    }
    const long double leverage = p_.intercept_leverage ? at(5, b * p_.n + i) : 0;
    const long double target = p_.complement ? 0 : at(1, (b * p_.k + o) * p_.n + i);
    const long double error = p_.complement ? part : target - part;
    const long double margin = p_.complement ? share - leverage : 1 - leverage - share;
    const long double error_scale = std::fabs(target) + part_scale, margin_scale = 1 + leverage + share_scale;
    left_out.value[where] += error * error / (margin * margin);
    left_out.scale[where] += std::fabs(error / (margin * margin)) * error_scale +
                             std::fabs(error * error / (margin * margin * margin)) * margin_scale;
    residual.value[where] += error * error;
    residual.scale[where] += std::fabs(error) * error_scale;
  }

  const Path& p_;
  const std::vector<Reals>& in_;
  std::int64_t penalties_;
};

KernelCase path_case(const Path& p, DType dtype, Random& random) {
  KernelCase c;
  c.label = label_of(p, dtype);
  c.dtypes = {dtype};
  const std::int64_t penalties = p.penalties > 0 ? p.penalties : p.filters;
  // Components of unit rows, and filters that leave margins between 0.2 and 1.
  const double size = 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(p.r, 1)));
  Reals mixing = random.uniform({p.batch, penalties, p.filters}, 0, 1);
  for (std::size_t i = 0; i < mixing.size(); i += static_cast<std::size_t>(p.filters)) {
    long double sum = 0;
    for (std::int64_t s = 0; s < p.filters; ++s) sum += mixing[i + static_cast<std::size_t>(s)];
    for (std::int64_t s = 0; s < p.filters; ++s) mixing[i + static_cast<std::size_t>(s)] /= sum;
  }
  const double low = p.complement ? 0.5 : 0.05, high = p.complement ? 1.0 : 0.3;
  c.inputs = {{"basis", {p.batch, p.r, p.n}, random.uniform({p.batch, p.r, p.n}, -1.3 * size, 1.3 * size)},
              {"targets", {p.batch, p.k, p.n}, random.normal({p.batch, p.k, p.n})},
              {"rotated", {p.batch, p.r, p.k}, random.normal({p.batch, p.r, p.k})},
              {"filters", {p.batch, p.filters, p.r}, random.uniform({p.batch, p.filters, p.r}, low, high)},
              {"mixing", {p.batch, penalties, p.filters}, mixing},
              {"intercept_leverage", {p.batch, p.n}, random.uniform({p.batch, p.n}, 0, p.complement ? 0.01 : 0.2)}};
  const Shape out{p.batch, penalties, p.k};
  const double roundoffs =
      (32 + 8 * std::sqrt(static_cast<double>(p.r + p.filters))) * (dtype == DType::f32 ? f32_in_f64 : 1);
  c.outputs = {{"left_out", out, roundoffs, 0, random.uniform(out, 0, 2), DType::f64},
               {"residual", out, roundoffs, 0, random.uniform(out, 0, 2), DType::f64}};
  c.run = [p](const Device& device, auto& in, auto& out) {
    RidgePathRows rows;
    rows.basis = in[0];
    if (!p.complement) rows.targets = in[1];
    rows.rotated = in[2];
    rows.filters = in[3];
    if (p.penalties > 0) rows.mixing = in[4];
    if (p.intercept_leverage) rows.intercept_leverage = in[5];
    kernels::ridge_path_errors(device, rows, out[0], out[1]);
  };
  c.reference = [p](auto& in, auto& initial) { return PathReference(p, in).sums(initial); };
  return c;
}

const bool errors_registered = register_cases("ridge_path_errors", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Path& path :
         {Path{1, 1, 1, 1, 1}, Path{1, 31, 33, 1, 5}, Path{1, 33, 31, 3, 31}, Path{1, 1025, 5, 2, 3},
          Path{1, 130, 65, 10, 4, 33}, Path{1, 70, 40, 3, 7, 12, true}, Path{1, 33, 17, 2, 9, 0, true, true},
          Path{1, 65, 9, 2, 4, 11, false, true}, Path{5, 17, 13, 1, 8, 0, true}, Path{3, 33, 9, 4, 5, 7, false, true},
          Path{37, 20, 16, 1, 6, 0, true}, Path{1, 0, 4, 2, 3}, Path{1, 12, 0, 2, 3}, Path{0, 5, 4, 2, 3},
          Path{1, 9, 4, 0, 3}}) {
      cases.push_back(path_case(path, dtype, random));
    }
  }
  return cases;
});

TEST(RidgePathErrors, NothingLeftGivesInfinity) {
  for (const Device& device : devices_and_threads()) {
    const Tensor basis = Tensor::from(std::vector<double>{1, 0.5}, {1, 1, 2}, device);
    const Tensor targets = Tensor::from(std::vector<double>{1, 1}, {1, 1, 2}, device);
    const Tensor one = Tensor::from(std::vector<double>{1}, {1, 1, 1}, device);
    Tensor left_out = Tensor::zeros({1, 1, 1}, DType::f64, device),
           residual = Tensor::zeros({1, 1, 1}, DType::f64, device);
    RidgePathRows rows;
    rows.basis = basis;
    rows.targets = targets;
    rows.rotated = one;
    rows.filters = one;
    kernels::ridge_path_errors(device, rows, left_out, residual);
    EXPECT_EQ(left_out.item<double>(), INFINITY);
    EXPECT_NEAR(residual.item<double>(), 0.25, 1e-15);
  }
}

template <typename E, typename F>
void expect_error(const char* text, const F& call) {
  try {
    call();
    ADD_FAILURE() << "no error that says '" << text << "'";
  } catch (const E& error) {
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

TEST(RidgePathKernels, RefuseWhatDoesNotFit) {
  for (const Device& device : devices()) {
    const auto zeros = [&](const Shape& shape, DType dtype = DType::f64) {
      return Tensor::zeros(shape, dtype, device);
    };
    Tensor x = zeros({3, 4}), columns = zeros({4}), lines = zeros({3}), narrow = zeros({4}, DType::f32);
    expect_error<ShapeError>("'sums'", [&] { kernels::weighted_column_sums(device, x, {}, lines); });
    expect_error<DTypeError>("'sums'", [&] { kernels::weighted_column_sums(device, x, {}, narrow); });
    expect_error<ShapeError>("'weights'", [&] { kernels::weighted_column_sums(device, x, columns, columns); });
    expect_error<ShapeError>("not contiguous", [&] {
      kernels::weighted_column_sums(device, x.view().permuted({1, 0}), {}, lines);
    });
    expect_error<ShapeError>("'shift'", [&] { kernels::center_rows(device, x, lines, {}, x); });
    expect_error<DTypeError>("'shift'", [&] { kernels::center_rows(device, x, narrow, {}, x); });
    Tensor basis = zeros({1, 2, 5}), rotated = zeros({1, 2, 3}), filters = zeros({1, 4, 2}), sums = zeros({1, 4, 3});
    Tensor targets = zeros({1, 3, 5});
    RidgePathRows rows;
    rows.basis = basis;
    rows.rotated = rotated;
    rows.filters = filters;
    rows.targets = targets;
    kernels::ridge_path_errors(device, rows, sums, sums.clone());
    Tensor other = zeros({1, 4, 2}), narrow_filters = zeros({1, 4, 2}, DType::f32);
    expect_error<ShapeError>("'left_out'", [&] { kernels::ridge_path_errors(device, rows, other, sums); });
    rows.targets = basis;
    expect_error<ShapeError>("'targets'", [&] { kernels::ridge_path_errors(device, rows, sums, sums); });
    rows.targets = targets;
    rows.filters = narrow_filters;
    expect_error<DTypeError>("'filters'", [&] { kernels::ridge_path_errors(device, rows, sums, sums); });
  }
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
/// Scores many penalties, for which the host's threads need some hundred megabytes, with little left to take.
void score_without_memory() {
  const Device device = Device::cpu();
  const std::int64_t rows = 400, penalties = 200000;
  const Tensor basis = Tensor::zeros({1, 1, rows}, DType::f64, device),
               one = Tensor::zeros({1, 1, 1}, DType::f64, device);
  const Tensor mixing = Tensor::zeros({1, penalties, 1}, DType::f64, device);
  RidgePathRows path;
  path.basis = basis;
  path.rotated = path.filters = one;
  Tensor few = Tensor::zeros({1, 1, 1}, DType::f64, device),
         sums = Tensor::zeros({1, penalties, 1}, DType::f64, device);
  kernels::ridge_path_errors(device, path, few, few.clone());  // threads and their buffers are there now
  path.mixing = mixing;
  std::int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t limit = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE)) + (rlim_t{100} << 20);
  const rlimit limits{limit, limit};
  setrlimit(RLIMIT_AS, &limits);
  try {
    kernels::ridge_path_errors(device, path, sums, sums);
  } catch (const std::bad_alloc&) {
    std::_Exit(0);
  }
  std::_Exit(1);
}

TEST(RidgePathKernelsDeathTest, OutOfMemoryIsAnException) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(score_without_memory(), testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace rtl::test
