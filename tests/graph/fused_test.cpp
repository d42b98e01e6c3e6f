// The operations that passes make, against the chains of plain operations that they replace.
#include "graph/operations/fused.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "rtl/core/random.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/plan.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

/// A graph in which a chain and its fused form are recorded side by side, with common inputs and a variable for each.
class SideBySide {
 public:
  SideBySide(DType dtype, Device device) : dtype_(dtype), device_(std::move(device)), random_(rtl::test::seed()) {}

  Value input(const Shape& shape, double low = -2, double high = 2) {
    const Value value = graph_->input("input", shape, dtype_);
    leaves_.push_back({{value}, low, high});
    return value;
  }
  /// The chain's variable and the fused operation's, which start with the same values.
  std::pair<Value, Value> variables(const Shape& shape) {
    std::vector<Value> pair;
    for (const char* name : {"of the chain", "of the fused"})
      pair.push_back(graph_->variable(name, Storage(Tensor(shape, dtype_, device_))));
    leaves_.push_back({pair, 0.5, 2});
    return {pair[0], pair[1]};
  }
  bool in_f64_on_the_host() const { return dtype_ == DType::f64 && !device_.is_cuda(); }
  std::vector<Value> fused(std::shared_ptr<const Operation> operation, const std::vector<Value>& operands) {
    return graph_->add(std::move(operation), operands);
  }

  /// Results and variables agree, in bits, or where `roundoffs` are given to that many of the largest value; alone, and
  /// as three replicas.
  void compare(const std::vector<Value>& chain, const std::vector<Value>& fused, double roundoffs = 0) {
    for (const std::int64_t replicas : {1, 3}) {
      std::vector<Value> results = chain;
      results.insert(results.end(), fused.begin(), fused.end());
      PlanOptions options{.share_memory = true, .replicas = replicas, .replicated = {}};
      for (const Leaf& leaf : leaves_) {
        options.replicated.insert(options.replicated.end(), leaf.values.begin(), leaf.values.end());
      }
      Execution execution(std::make_shared<const Plan>(graph_, results, options));
      std::vector<Tensor> memory;
      for (const Leaf& leaf : leaves_) bind(execution, leaf, replicas, memory);
      execution.run();
      for (std::size_t i = 0; i < chain.size(); ++i) {
        SCOPED_TRACE("result " + std::to_string(i) + " of " + std::to_string(replicas) + " replicas on " +
                     device_.name() + " in " + std::string(name_of(dtype_)));
        expect_same(execution.view(chain[i]), execution.view(fused[i]), roundoffs);
      }
      for (const Leaf& leaf : leaves_) {
        if (leaf.values.size() == 2) expect_same(execution.view(leaf.values[0]), execution.view(leaf.values[1]), 0);
      }
    }
  }

  /// A result that needs memory for one value of its type, and for `others`, has the bits of node-by-node execution.
  void expect_in_place(const Value& result, std::size_t others) {
    const auto planned = std::make_shared<const Plan>(graph_, std::vector<Value>{result});
    EXPECT_EQ(planned->facts().arena_bytes, result.type().bytes() + others);
    Execution execution(planned);
    Execution reference(
        std::make_shared<const Plan>(graph_, std::vector<Value>{result}, PlanOptions{.share_memory = false}));
    std::vector<Tensor> memory;
    for (const Leaf& leaf : leaves_) {
      bind(execution, leaf, 1, memory);
      const std::size_t first = memory.size() - leaf.values.size();
      for (std::size_t i = 0; i < leaf.values.size(); ++i) reference.bind(leaf.values[i], memory[first + i].view());
    }
    execution.run();
    reference.run();
    expect_same(reference.view(result), execution.view(result), 0);
  }

 private:
  struct Leaf {
    std::vector<Value> values;
    double low, high;
  };

  void bind(Execution& execution, const Leaf& leaf, std::int64_t replicas, std::vector<Tensor>& memory) {
    const Shape& shape = leaf.values[0].shape();
    std::vector<std::int64_t> extents(shape.extents().begin(), shape.extents().end());
    if (replicas > 1) extents.insert(extents.begin(), replicas);
    std::vector<double> numbers(static_cast<std::size_t>(shape.count() * replicas));
    for (double& number : numbers) number = leaf.low + (leaf.high - leaf.low) * random_.uniform();
    for (const Value& value : leaf.values) {
      const Shape whole{std::span<const std::int64_t>(extents)};
      memory.push_back(dtype_ == DType::f64
                           ? Tensor::from(numbers, whole, device_)
                           : Tensor::from(std::vector<float>(numbers.begin(), numbers.end()), whole, device_));
      execution.bind(value, memory.back().view());
    }
  }

  std::vector<double> numbers(ConstView view) const {
    Tensor host(view.shape(), view.dtype(), Device::cpu());
    copy_bytes(view, host);
    if (dtype_ == DType::f64) return host.to_vector<double>();
    const std::vector<float> values = host.to_vector<float>();
    return {values.begin(), values.end()};
  }

  void expect_same(ConstView chain, ConstView fused, double roundoffs) const {
    const std::vector<double> a = numbers(chain), b = numbers(fused);
    ASSERT_EQ(a.size(), b.size());
    double largest = 0;
    for (const double value : a) largest = std::max(largest, std::abs(value));
    EXPECT_GT(largest, 0);
    if (roundoffs == 0) {
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(double)), 0);
      return;
    }
    const double bound = roundoffs * largest * (dtype_ == DType::f64 ? std::ldexp(1.0, -53) : std::ldexp(1.0, -24));
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_LE(std::abs(a[i] - b[i]), bound) << "element " << i;
  }

  DType dtype_;
  Device device_;
  RandomSequence random_;
  std::shared_ptr<Graph> graph_ = std::make_shared<Graph>(device_);
  std::vector<Leaf> leaves_;
};

template <typename Body>
void on_every_device(const Body& body) {
  for (const Device& device : rtl::test::devices()) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      SideBySide pair(dtype, device);
      body(pair);
    }
  }
}

Value added(const Value& y, const Value& residual) { return residual.defined() ? add(y, residual) : y; }
Value rectified(const Value& y, bool yes) { return yes ? relu(y) : y; }

TEST(Fused, AddRelu) {
  on_every_device([](SideBySide& pair) {
    const Value a = pair.input({3, 31}), b = pair.input({3, 31});
    pair.compare({relu(add(a, b))}, pair.fused(make_add_relu(), {a, b}));
  });
}

TEST(Fused, Linear) {
  for (const bool with_bias : {false, true}) {
    on_every_device([&](SideBySide& pair) {
      const Value x = pair.input({17, 9}), w = pair.input({5, 9}), bias = with_bias ? pair.input({5}) : Value();
      pair.compare({relu(linear(x, w, bias))}, pair.fused(make_fused_linear(true), {x, w, bias}));
      pair.compare({linear(x, w, bias)}, pair.fused(make_fused_linear(false), {x, w, bias}));
    });
  }
}

/// One that the host does by Winograd's filtering, and one that it does not.
TEST(Fused, Convolution) {
  for (const std::int64_t channels : {16, 3}) {
    const kernels::Conv2dOptions options{.stride = 1, .padding = 1};
    for (const bool with_bias : {false, true}) {
      for (const bool with_residual : {false, true}) {
        on_every_device([&](SideBySide& pair) {
          const Value x = pair.input({2, 9, 7, channels}), w = pair.input({channels, channels, 3, 3});
          const Value bias = with_bias ? pair.input({channels}) : Value();
          const Value residual = with_residual ? pair.input({2, 9, 7, channels}) : Value();
          const Value y = added(conv2d(x, w, bias, options), residual);
          // The host adds bias and residual to each other first in f64.
          const double roundoffs = pair.in_f64_on_the_host() && with_bias && with_residual ? 4 : 0;
          pair.compare({relu(y)},
                       pair.fused(make_fused_conv2d(options, kernels::Activation::relu), {x, w, bias, residual}),
                       roundoffs);
          pair.compare({relu6(y)},
                       pair.fused(make_fused_conv2d(options, kernels::Activation::relu6), {x, w, bias, residual}),
                       roundoffs);
          pair.compare({y}, pair.fused(make_fused_conv2d(options, kernels::Activation::none), {x, w, bias, residual}),
                       roundoffs);
        });
      }
    }
  }
}

/// With and without ReLU and residual, images and rows.
template <typename Body>
void for_each_epilogue(const Body& body) {
  for (const Shape& shape : {Shape{3, 5, 4, 7}, Shape{33, 9}}) {
    for (const bool relu : {false, true}) {
      for (const bool residual : {false, true})
        on_every_device([&](SideBySide& pair) { body(pair, shape, relu, residual); });
    }
  }
}

TEST(Fused, BatchNormTraining) {
  const BatchNormOptions options{.epsilon = 1e-3, .momentum = 0.25};
  for_each_epilogue([&](SideBySide& pair, const Shape& shape, bool with_relu, bool with_residual) {
    const Value x = pair.input(shape), gamma = pair.input({shape[-1]}), beta = pair.input({shape[-1]});
    const Value residual = with_residual ? pair.input(shape) : Value(), weights = pair.input(shape);
    const auto [mean, fused_mean] = pair.variables({shape[-1]});
    const auto [variance, fused_variance] = pair.variables({shape[-1]});

    const Value y = rectified(added(batch_norm_training(x, gamma, beta, mean, variance, options), residual), with_relu);
    std::vector<Value> parameters{x, gamma, beta};
    if (with_residual) parameters.push_back(residual);
    std::vector<Value> chain = gradients(sum(multiply(y, weights)), parameters);

    const std::vector<Value> forward = pair.fused(make_fused_batch_norm_training(options, with_relu),
                                                  {x, gamma, beta, fused_mean, fused_variance, residual});
    std::vector<Value> fused =
        pair.fused(make_fused_batch_norm_training_backward(with_relu, with_residual),
                   {x, gamma, forward[1], forward[2], weights, with_relu ? forward[0] : Value()});
    chain.push_back(y);
    fused.push_back(forward[0]);
    pair.compare(chain, fused);
  });
}

TEST(Fused, BatchNormEvaluation) {
  const BatchNormOptions options{.epsilon = 1e-3};
  for_each_epilogue([&](SideBySide& pair, const Shape& shape, bool with_relu, bool with_residual) {
    const Value x = pair.input(shape), gamma = pair.input({shape[-1]}), beta = pair.input({shape[-1]});
    const Value residual = with_residual ? pair.input(shape) : Value(), weights = pair.input(shape);
    const Value mean = pair.input({shape[-1]}), variance = pair.input({shape[-1]}, 0.5, 2);

    const Value y =
        rectified(added(batch_norm_evaluation(x, gamma, beta, mean, variance, options), residual), with_relu);
    std::vector<Value> parameters{x, gamma, beta};
    if (with_residual) parameters.push_back(residual);
    std::vector<Value> chain = gradients(sum(multiply(y, weights)), parameters);

    const Value forward =
        pair.fused(make_fused_batch_norm_evaluation(options, with_relu), {x, gamma, beta, mean, variance, residual})[0];
    std::vector<Value> fused = pair.fused(make_fused_batch_norm_evaluation_backward(options, with_relu, with_residual),
                                          {x, gamma, mean, variance, weights, with_relu ? forward : Value()});
    chain.push_back(y);
    fused.push_back(forward);
    pair.compare(chain, fused);
  });
}

/// Normalisations that take the memory of x, or of the residual, give the bits of those that have their own.
TEST(Fused, NormalisesInPlace) {
  on_every_device([](SideBySide& pair) {
    const Shape shape{4, 5, 5, 64}, channels{64};  // whole lines of the arena
    const Value x = pair.input(shape), gamma = pair.input(channels), variance = pair.input(channels, 0.5, 2);
    const auto [mean, spread] = pair.variables(channels);
    const auto evaluation = [&](const Value& in, const Value& residual) {
      return pair.fused(make_fused_batch_norm_evaluation({}, true), {in, gamma, gamma, gamma, variance, residual})[0];
    };
    const auto training = [&](const Value& in, const Value& residual) {
      return pair.fused(make_fused_batch_norm_training({}, true), {in, gamma, gamma, mean, spread, residual})[0];
    };
    pair.expect_in_place(square(evaluation(exp(x), {})), 0);
    pair.expect_in_place(square(evaluation(x, exp(x))), 0);
    pair.expect_in_place(square(batch_norm_evaluation(exp(x), gamma, gamma, gamma, variance)), 0);
    const std::size_t statistics = 2 * 64 * size_of(x.dtype());
    pair.expect_in_place(square(training(exp(x), {})), statistics);
    pair.expect_in_place(square(training(x, exp(x))), statistics);
    pair.expect_in_place(square(batch_norm_training(exp(x), gamma, gamma, mean, spread)), statistics);
  });
}

TEST(Fused, FaultsNameShapes) {
  Graph graph(Device::cpu(1));
  const auto record = [&](std::shared_ptr<const Operation> operation, const std::vector<Value>& operands) {
    return graph.add(std::move(operation), operands);
  };
  const Value x = graph.input("x", {2, 5, 5, 3}, DType::f32), w = graph.input("w", {4, 3, 1, 1}, DType::f32);
  const Value vector = graph.input("vector", {3}, DType::f32), four = graph.input("four", {4}, DType::f32);
  EXPECT_THROW(record(make_fused_conv2d({}, kernels::Activation::relu), {x, w, vector, {}}), ShapeError);
  EXPECT_THROW(record(make_fused_conv2d({}, kernels::Activation::relu), {x, w, four, x}), ShapeError);
  EXPECT_THROW(record(make_fused_linear(true), {x, w, four}), ShapeError);
  EXPECT_THROW(record(make_fused_batch_norm_evaluation({}, true), {x, vector, vector, vector, vector, w}), ShapeError);
  EXPECT_THROW(record(make_fused_batch_norm_training({}, true), {x, vector, vector, vector, vector, {}}), ValueError);
  EXPECT_THROW(record(make_fused_batch_norm_training_backward(true, false), {x, vector, vector, vector, x, {}}),
               ValueError);
  EXPECT_THROW(record(make_add_relu(), {x, w}), ShapeError);
}

}  // namespace
}  // namespace rtl::graph::test
