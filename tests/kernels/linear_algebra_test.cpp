#include "rtl/kernels/linear_algebra.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "rtl/core/random.hpp"
#include "support/devices.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::GramOf;
using kernels::Transpose;

std::size_t index(std::int64_t i, std::int64_t j, std::int64_t width) {
  return static_cast<std::size_t>(i * width + j);
}

/// a b (or a' b, a b'), row-major, in long double.
Reals multiply(const Reals& a, const Reals& b, std::int64_t m, std::int64_t n, std::int64_t k, bool turn_a = false,
               bool turn_b = false) {
  Reals c(static_cast<std::size_t>(m * n));
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t l = 0; l < k; ++l) {
        c[index(i, j, n)] += a[turn_a ? index(l, i, m) : index(i, l, k)] * b[turn_b ? index(j, l, k) : index(l, j, n)];
      }
    }
  }
  return c;
}

Reals identity(std::int64_t n) {
  Reals one(static_cast<std::size_t>(n * n), 0);
  for (std::int64_t i = 0; i < n; ++i) one[index(i, i, n)] = 1;
  return one;
}

/// Every element is judged by the size of the largest.
Expected by_largest(const Reals& values) {
  long double largest = 0;
  for (const long double value : values) largest = std::max(largest, std::fabs(value));
  return {values, Reals(values.size(), largest)};
}

/// Ascending eigenvalues by cyclic Jacobi rotations.
Reals eigenvalues_of(Reals a, std::int64_t n) {
  for (int sweep = 0; sweep < 30; ++sweep) {
    long double off = 0, all = 0;
    for (std::int64_t p = 0; p < n; ++p) {
      for (std::int64_t q = 0; q < n; ++q) {
        all += a[index(p, q, n)] * a[index(p, q, n)];
        if (p != q) off += a[index(p, q, n)] * a[index(p, q, n)];
      }
    }
    if (off <= all * 1e-36L) break;
    for (std::int64_t p = 0; p < n; ++p) {
      for (std::int64_t q = p + 1; q < n; ++q) {
        if (a[index(p, q, n)] == 0) continue;
        const long double theta = (a[index(q, q, n)] - a[index(p, p, n)]) / (2 * a[index(p, q, n)]);
        const long double t = (theta < 0 ? -1 : 1) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
        const long double c = 1 / std::sqrt(t * t + 1), s = t * c;
        for (std::int64_t i = 0; i < n; ++i) {
          const long double x = a[index(i, p, n)], y = a[index(i, q, n)];
          a[index(i, p, n)] = c * x - s * y;
          a[index(i, q, n)] = s * x + c * y;
        }
        for (std::int64_t i = 0; i < n; ++i) {
          const long double x = a[index(p, i, n)], y = a[index(q, i, n)];
          a[index(p, i, n)] = c * x - s * y;
          a[index(q, i, n)] = s * x + c * y;
        }
      }
    }
  }
  Reals values;
  for (std::int64_t i = 0; i < n; ++i) values.push_back(a[index(i, i, n)]);
  std::sort(values.begin(), values.end());
  return values;
}

/// The symmetric matrix whose lower triangle is that of `a`.
Reals from_lower(Reals a, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = i + 1; j < n; ++j) a[index(i, j, n)] = a[index(j, i, n)];
  }
  return a;
}

Reals part(const Reals& all, std::int64_t i, std::int64_t size) {
  return {all.begin() + static_cast<std::ptrdiff_t>(i * size),
          all.begin() + static_cast<std::ptrdiff_t>((i + 1) * size)};
}

/// For outputs that are judged by what follows from them (eigenvectors have no definite sign).
constexpr double unjudged = 1e300;
Expected anything(std::int64_t count) {
  return {Reals(static_cast<std::size_t>(count), 0), Reals(static_cast<std::size_t>(count), 1)};
}

struct GramProblem {
  std::int64_t batch, n, p;
  GramOf of;
  double alpha = 1, beta = 0;
  std::int64_t padding = 0;
};

KernelCase gram_case(const GramProblem& g, Random& random) {
  KernelCase c;
  const bool batched = g.batch > 0;
  const std::int64_t count = std::max<std::int64_t>(g.batch, 1), width = g.p + g.padding;
  const std::int64_t order = g.of == GramOf::columns ? g.p : g.n, inner = g.of == GramOf::columns ? g.n : g.p;
  c.label = fmt::format("{}_{}x{}{}{}{}", g.of == GramOf::columns ? "columns" : "rows", g.n, g.p,
                        batched ? fmt::format("_batch{}", g.batch) : "", g.beta != 0 ? "_beta" : "",
                        g.padding > 0 ? "_strided" : "");
  const Shape x = batched ? Shape{g.batch, g.n, g.p} : Shape{g.n, width};
  const Shape out = batched ? Shape{g.batch, order, order} : Shape{order, order};
  c.inputs = {{"x", x, random.normal(x)}};
  c.outputs = {{"g", out, 4 + 4 * std::sqrt(static_cast<double>(inner)), 0,
                g.beta != 0 || batched ? random.normal(out) : Reals()}};
  c.run = [g](const Device& device, auto& in, auto& out) {
    const ConstView x = g.padding > 0 ? in[0].slice(1, 0, g.p) : in[0];
    kernels::gram(device, g.of, g.alpha, x, g.beta, out[0]);
  };
  c.reference = [=](auto& in, auto& initial) {
    Expected e{Reals(static_cast<std::size_t>(count * order * order), std::nanl("")), {}};
    if (!initial[0].empty()) e.value = initial[0];
    e.scale.assign(e.value.size(), batched ? 1e290L : 1);  // above the diagonal: anything in a batch
    for (std::int64_t b = 0; b < count; ++b) {
      for (std::int64_t i = 0; i < order; ++i) {
        for (std::int64_t j = 0; j <= i; ++j) {
          long double sum = 0, scale = 0;
          for (std::int64_t l = 0; l < inner; ++l) {
            const auto at = [&](std::int64_t which) {
              return in[0][static_cast<std::size_t>(b * g.n * width +
                                                    (g.of == GramOf::columns ? l * width + which : which * width + l))];
            };
            sum += at(i) * at(j);
            scale += std::fabs(at(i) * at(j));
          }
          const auto where = static_cast<std::size_t>((b * order + i) * order + j);
          const long double before = g.beta != 0 ? g.beta * initial[0][where] : 0;
          e.value[where] = g.alpha * sum + before;
          e.scale[where] = std::fabs(g.alpha) * scale + std::fabs(before);
        }
      }
    }
    return std::vector<Expected>{e};
  };
  return c;
}

const bool gram_registered = register_cases("gram", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const GramOf of : {GramOf::columns, GramOf::rows}) {
    for (const auto& [n, p] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {31, 33}, {33, 31}, {5, 1025}, {1025, 5}}) {
      cases.push_back(gram_case({0, n, p, of}, random));
    }
    cases.push_back(gram_case({0, 33, 17, of, -0.5, 2}, random));
    cases.push_back(gram_case({0, 20, 31, of, 1, 1, 6}, random));
    cases.push_back(gram_case({5, 9, 33, of}, random));
    cases.push_back(gram_case({3, 33, 9, of, 2, -1}, random));
    cases.push_back(gram_case({0, 0, 0, of}, random));
  }
  return cases;
});

KernelCase eigen_case(std::int64_t batch, std::int64_t n, bool repeated, Random& random, bool queued = false) {
  KernelCase c;
  c.label = fmt::format("{}{}{}", n, batch > 0 ? fmt::format("_batch{}", batch) : "", repeated ? "_repeated" : "");
  const std::int64_t count = std::max<std::int64_t>(batch, 1);
  const Shape matrices = batch > 0 ? Shape{batch, n, n} : Shape{n, n}, values = batch > 0 ? Shape{batch, n} : Shape{n};
  const Shape square{count, n, n};
  const Reals start = repeated ? identity(n) : random.normal(matrices);
  const double allowed = 10 + 4 * static_cast<double>(n);
  c.outputs = {{"a", matrices, unjudged, 0, start},
               {"values", values, allowed},
               {"V'WV", square, allowed},
               {"VV'", square, allowed}};
  c.run = [=](const Device& device, auto&, auto& out) {
    if (queued) {
      Tensor work(matrices, out[0].dtype(), device);
      kernels::queued_symmetric_eigen(device, out[0], out[1], work);
    } else {
      kernels::symmetric_eigen(device, out[0], out[1]);
    }
    const View vectors = out[0].reshaped(square);
    Tensor scaled(square, out[0].dtype(), device), weights;
    Tensor found(values, out[1].dtype(), device);
    copy_bytes(out[1], found);
    const auto fill_diagonal = [&](const auto& given) {
      using T = typename std::decay_t<decltype(given)>::value_type;
      std::vector<T> all(static_cast<std::size_t>(count * n * n));
      for (std::int64_t i = 0; i < count * n; ++i)
        all[static_cast<std::size_t>(i * n + i % n)] = given[static_cast<std::size_t>(i)];
      weights = Tensor::from(all, {count, n, n}, device);
    };
    out[0].dtype() == DType::f32 ? fill_diagonal(found.template to_vector<float>())
                                 : fill_diagonal(found.template to_vector<double>());
    kernels::gemm_batched(device, Transpose::no, Transpose::no, 1, weights, vectors, 0, scaled);
    kernels::gemm_batched(device, Transpose::yes, Transpose::no, 1, vectors, scaled, 0, out[2]);
    kernels::gemm_batched(device, Transpose::no, Transpose::yes, 1, vectors, vectors, 0, out[3]);
  };
  c.reference = [=](auto&, auto& initial) {
    std::vector<Expected> all(4);
    all[0] = anything(count * n * n);
    for (std::int64_t i = 0; i < count; ++i) {
      const Reals a = from_lower(part(initial[0], i, n * n), n);
      const Reals eigenvalues = eigenvalues_of(a, n);
      const long double largest = std::max(std::fabs(eigenvalues.front()), std::fabs(eigenvalues.back()));
      const auto append = [](Expected& to, const Reals& values, long double scale) {
        to.value.insert(to.value.end(), values.begin(), values.end());
        to.scale.insert(to.scale.end(), values.size(), scale);
      };
      append(all[1], eigenvalues, largest);
      append(all[2], a, largest);
      append(all[3], identity(n), 1);
    }
    return all;
  };
  return c;
}

const bool eigen_registered = register_cases("symmetric_eigen", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const std::int64_t n : {1, 2, 31, 33, 70}) cases.push_back(eigen_case(0, n, false, random));
  cases.push_back(eigen_case(0, 33, true, random));
  cases.push_back(eigen_case(7, 17, false, random));
  cases.push_back(eigen_case(2, 33, false, random));
  cases.push_back(eigen_case(16390, 2, false, random));  // more than cuSOLVER takes at once
  return cases;
});

const bool queued_eigen_registered = register_cases("queued_symmetric_eigen", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const std::int64_t n : {1, 2, 31, 33, 70}) cases.push_back(eigen_case(0, n, false, random, true));
  cases.push_back(eigen_case(0, 33, true, random, true));
  return cases;
});

/// A well-conditioned positive definite matrix, with anything above the diagonal.
Reals positive_definite(std::int64_t n, Random& random) {
  const Reals x = random.normal({n, n}), above = random.normal({n, n});
  Reals a = multiply(x, x, n, n, n, false, true);
  for (std::int64_t i = 0; i < n; ++i) {
    a[index(i, i, n)] += static_cast<long double>(n);
    for (std::int64_t j = i + 1; j < n; ++j) a[index(i, j, n)] = above[index(i, j, n)];
  }
  return a;
}

const bool factor_registered = register_cases("cholesky_factor", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const std::int64_t n : {0, 1, 31, 33, 129}) {
    KernelCase c;
    c.label = fmt::format("{}", n);
    c.outputs = {{"a", {n, n}, 20 + 4 * static_cast<double>(n), 0, positive_definite(n, random)}};
    c.run = [](const Device& device, auto&, auto& out) { kernels::cholesky_factor(device, out[0]); };
    c.reference = [n](auto&, auto& initial) {
      Reals l = initial[0];
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = 0; j <= i; ++j) {
          long double value = l[index(i, j, n)];
          for (std::int64_t q = 0; q < j; ++q) value -= l[index(i, q, n)] * l[index(j, q, n)];
          l[index(i, j, n)] = i == j ? std::sqrt(value) : value / l[index(j, j, n)];
        }
      }
      Expected e = by_largest(l);
      // What lies above the diagonal stays as it was, to the bit.
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = i + 1; j < n; ++j) e.scale[index(i, j, n)] = 0;
      }
      return std::vector<Expected>{e};
    };
    cases.push_back(c);
  }
  return cases;
});

const bool solve_registered = register_cases("cholesky_solve", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const auto& [n, m] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {31, 33}, {33, 1}, {129, 7}, {4, 0}}) {
    KernelCase c;
    c.label = fmt::format("{}x{}", n, m);
    Reals factor = random.uniform({n, n}, -0.5, 0.5);
    for (std::int64_t i = 0; i < n; ++i) factor[index(i, i, n)] = std::sqrt(static_cast<long double>(n)) + 1;
    c.inputs = {{"factor", {n, n}, factor}};
    c.outputs = {{"b", {n, m}, 20 + 8 * static_cast<double>(n), 0, random.normal({n, m})}};
    c.run = [](const Device& device, auto& in, auto& out) { kernels::cholesky_solve(device, in[0], out[0]); };
    c.reference = [=](auto& in, auto& initial) {
      Reals b = initial[0];
      const auto l = [&](std::int64_t i, std::int64_t j) { return in[0][index(i, j, n)]; };
      for (std::int64_t o = 0; o < m; ++o) {
        for (std::int64_t i = 0; i < n; ++i) {
          for (std::int64_t j = 0; j < i; ++j) b[index(i, o, m)] -= l(i, j) * b[index(j, o, m)];
          b[index(i, o, m)] /= l(i, i);
        }
        for (std::int64_t i = n - 1; i >= 0; --i) {
          for (std::int64_t j = i + 1; j < n; ++j) b[index(i, o, m)] -= l(j, i) * b[index(j, o, m)];
          b[index(i, o, m)] /= l(i, i);
        }
      }
      return std::vector<Expected>{by_largest(b)};
    };
    cases.push_back(c);
  }
  return cases;
});

const bool qr_registered = register_cases("qr", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const auto& [m, n] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {33, 31}, {31, 31}, {1025, 5}, {7, 0}}) {
    KernelCase c;
    c.label = fmt::format("{}x{}", m, n);
    const double allowed = 20 + 4 * std::sqrt(static_cast<double>(m * n));
    c.outputs = {{"a", {m, n}, unjudged, 0, random.normal({m, n})},
                 {"r", {n, n}, unjudged},
                 {"QR", {m, n}, allowed},
                 {"Q'Q", {n, n}, allowed}};
    c.run = [](const Device& device, auto&, auto& out) {
      kernels::qr(device, out[0], out[1]);
      kernels::gemm(device, Transpose::no, Transpose::no, 1, out[0], out[1], 0, out[2]);
      kernels::gemm(device, Transpose::yes, Transpose::no, 1, out[0], out[0], 0, out[3]);
    };
    c.reference = [n](auto&, auto& initial) {
      Expected ones = by_largest(identity(n));
      return std::vector<Expected>{anything(static_cast<std::int64_t>(initial[0].size())), anything(n * n),
                                   by_largest(initial[0]), ones};
    };
    cases.push_back(c);
  }
  return cases;
});

const bool svd_registered = register_cases("svd", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const auto& [m, n] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {33, 31}, {31, 33}, {40, 5}, {5, 40}, {3, 0}}) {
    KernelCase c;
    c.label = fmt::format("{}x{}", m, n);
    const std::int64_t q = std::min(m, n);
    const double allowed = 20 + 4 * std::sqrt(static_cast<double>(m * n));
    c.inputs = {{"a", {m, n}, random.normal({m, n})}};
    c.outputs = {{"u", {m, q}, unjudged},
                 {"values", {q}, allowed},
                 {"vt", {q, n}, unjudged},
                 {"UU'A", {m, n}, allowed},
                 {"VV'", {q, q}, allowed}};
    c.run = [=](const Device& device, auto& in, auto& out) {
      Tensor a({m, n}, in[0].dtype(), device), product({q, n}, in[0].dtype(), device);
      copy_bytes(in[0], a);
      kernels::svd(device, a, out[0], out[1], out[2]);
      kernels::gemm(device, Transpose::yes, Transpose::no, 1, out[0], in[0], 0, product);
      kernels::gemm(device, Transpose::no, Transpose::no, 1, out[0], product, 0, out[3]);
      kernels::gemm(device, Transpose::no, Transpose::yes, 1, out[2], out[2], 0, out[4]);
    };
    c.reference = [=](auto& in, auto&) {
      Reals values = q == 0 ? Reals() : eigenvalues_of(multiply(in[0], in[0], n, n, m, true, false), n);
      std::reverse(values.begin(), values.end());
      values.resize(static_cast<std::size_t>(q));
      for (long double& value : values) value = std::sqrt(std::max(value, 0.0L));
      return std::vector<Expected>{anything(m * q), by_largest(values), anything(q * n), by_largest(in[0]),
                                   by_largest(identity(q))};
    };
    cases.push_back(c);
  }
  return cases;
});

/// U diag(values) V' is A, and R is upper triangular: what the cases above leave open.
TEST(LinearAlgebra, FactorsMultiplyToTheMatrix) {
  for (const Device& device : devices_and_threads()) {
    Random random(17);
    for (const auto& [m, n] : {std::pair<std::int64_t, std::int64_t>{33, 12}, {12, 33}}) {
      const std::int64_t q = std::min(m, n);
      const Reals start = random.normal({m, n});
      const std::vector<double> values(start.begin(), start.end());
      Tensor a = Tensor::from(values, {m, n}, device), u({m, q}, DType::f64, device), s({q}, DType::f64, device);
      Tensor vt({q, n}, DType::f64, device);
      kernels::svd(device, a, u, s, vt);
      const auto left = u.to_vector<double>(), middle = s.to_vector<double>(), right = vt.to_vector<double>();
      for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (std::int64_t l = 0; l < q; ++l) {
            sum += left[index(i, l, q)] * middle[static_cast<std::size_t>(l)] * right[index(l, j, n)];
          }
          EXPECT_NEAR(sum, values[index(i, j, n)], 1e-13) << "RTL_TEST_SEED=" << seed();
        }
      }
      if (m < n) continue;
      Tensor b = Tensor::from(values, {m, n}, device), r({n, n}, DType::f64, device);
      kernels::qr(device, b, r);
      const auto triangle = r.to_vector<double>();
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = 0; j < i; ++j) EXPECT_EQ(triangle[index(i, j, n)], 0);
      }
    }
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

/// Threads that do nothing but take the processors from others.
class OtherWork {
 public:
  explicit OtherWork(int threads) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this] {
        while (!done_) {
        }
      });
    }
  }
  OtherWork(const OtherWork&) = delete;
  OtherWork& operator=(const OtherWork&) = delete;
  ~OtherWork() {
    done_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> done_{false};
  std::vector<std::thread> threads_;
};

TEST(LinearAlgebra, ThreadsThatShareAnEigenproblemDoNotDisturbEachOther) {
  if (test::host_is_left_out()) GTEST_SKIP() << "about the host's threads";
  const Device device = Device::cpu(2);
  const OtherWork other(3);
  for (const std::int64_t n : {218, 260}) {
    std::vector<double> a(static_cast<std::size_t>(n * n));
    RandomSequence random(test::seed());
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) {
        a[static_cast<std::size_t>(i * n + j)] = a[static_cast<std::size_t>(j * n + i)] = random.normal();
      }
    }
    std::vector<double> first;
    for (int repeat = 0; repeat < 40; ++repeat) {
      Tensor vectors = Tensor::from(a, {1, n, n}, device), values({1, n}, DType::f64, device);
      kernels::symmetric_eigen(device, vectors, values);
      const std::vector<double> here = vectors.to_vector<double>();
      if (first.empty()) first = here;
      ASSERT_EQ(std::memcmp(here.data(), first.data(), here.size() * sizeof(double)), 0) << n << ", repeat " << repeat;
    }
  }
}

TEST(LinearAlgebra, RefusesWhatDoesNotFit) {
  for (const Device& device : devices()) {
    const auto zeros = [&](const Shape& shape, DType dtype = DType::f64) {
      return Tensor::zeros(shape, dtype, device);
    };
    Tensor a = zeros({3, 3}), wide = zeros({3, 4}), values = zeros({3}), narrow = zeros({3, 3}, DType::f32);
    Tensor integers = zeros({3, 3}, DType::i32), few = zeros({2});
    expect_error<ShapeError>("'g' is [3, 3]", [&] { kernels::gram(device, GramOf::columns, 1, wide, 0, a); });
    expect_error<DTypeError>("i32", [&] { kernels::gram(device, GramOf::columns, 1, integers, 0, integers); });
    expect_error<ShapeError>("not contiguous", [&] {
      kernels::gram(device, GramOf::rows, 1, wide.view().permuted({1, 0}), 0, a);
    });
    expect_error<ShapeError>("not square", [&] { kernels::symmetric_eigen(device, wide, values); });
    expect_error<ShapeError>("'values'", [&] { kernels::symmetric_eigen(device, a, few); });
    expect_error<DTypeError>("f32", [&] { kernels::symmetric_eigen(device, narrow, values); });
    expect_error<ShapeError>("not square", [&] { kernels::queued_symmetric_eigen(device, wide, values, wide); });
    expect_error<ShapeError>("'values'", [&] { kernels::queued_symmetric_eigen(device, a, few, a); });
    expect_error<ShapeError>("'work'", [&] { kernels::queued_symmetric_eigen(device, a, values, wide); });
    expect_error<DTypeError>("f32", [&] { kernels::queued_symmetric_eigen(device, a, values, narrow); });
    Tensor large = zeros({1025, 1025}), many = zeros({1025});
    expect_error<ValueError>("1024", [&] { kernels::queued_symmetric_eigen(device, large, many, large); });
    expect_error<ValueError>("minor of order 1", [&] { kernels::cholesky_factor(device, a); });
    expect_error<ShapeError>("not square", [&] { kernels::cholesky_factor(device, wide); });
    expect_error<ShapeError>("'b'", [&] { kernels::cholesky_solve(device, a, values.view().reshaped({1, 3})); });
    expect_error<ShapeError>("fewer rows", [&] { kernels::qr(device, wide, a); });
    expect_error<DTypeError>("f32", [&] { kernels::svd(device, a, narrow, values, a); });
    expect_error<ShapeError>("'vt'", [&] { kernels::svd(device, a, a, values, wide); });
  }
}

}  // namespace
}  // namespace rtl::test
