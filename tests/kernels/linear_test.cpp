#include "rtl/kernels/linear.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "rtl/kernels/pointwise.hpp"
#include "support/devices.hpp"
#include "support/kernel_case.hpp"
#include "support/random_tensor.hpp"

namespace rtl::test {
namespace {

struct Layer {
  std::int64_t rows, inputs, outputs;
  bool bias = true, dx = true, relu = false;
  std::string name() const {
    return fmt::format("{}x{}_to_{}{}{}{}", rows, inputs, outputs, bias ? "" : "_unbiased", dx ? "" : "_first",
                       relu ? "_relu" : "");
  }
};

// The last but one has several ranges of rows on CUDA; the last is no small layer, so the vendor's products make it.
const std::vector<Layer> layers = {{1, 1, 1},
                                   {31, 33, 10, false},
                                   {33, 65, 31, true, false},
                                   {0, 5, 3},
                                   {128, 7, 33, true, true, true},
                                   {129, 31, 1, false, true, true},
                                   {1025, 33, 10, true, true, true},
                                   {517, 129, 131, true, true, true}};

/// Sums of so many products, and the rounding to bf16.
double roundoffs_of(std::int64_t terms) { return 8 + 4 * std::sqrt(static_cast<double>(terms)); }

struct Sums {
  Expected dw, dbias, dx;
};

Sums sums_of(const Layer& layer, const std::vector<Reals>& in) {
  const auto rows = static_cast<std::size_t>(layer.rows), inputs = static_cast<std::size_t>(layer.inputs);
  const auto outputs = static_cast<std::size_t>(layer.outputs);
  const Reals &x = in[0], &w = in[1], &dy = in[2];
  Sums sums{{Reals(outputs * inputs), Reals(outputs * inputs)},
            {Reals(outputs, layer.bias ? 0 : NAN), Reals(outputs)},
            {Reals(rows * inputs), Reals(rows * inputs)}};
  const auto add = [](Expected& to, std::size_t at, long double term) {
    to.value[at] += term;
    to.scale[at] += std::fabs(term);
  };
  for (std::size_t n = 0; n < rows; ++n) {
    for (std::size_t o = 0; o < outputs; ++o) {
      add(sums.dbias, o, dy[n * outputs + o]);
      for (std::size_t i = 0; i < inputs; ++i) {
        add(sums.dw, o * inputs + i, dy[n * outputs + o] * x[n * inputs + i]);
        add(sums.dx, n * inputs + i, dy[n * outputs + o] * w[o * inputs + i]);
      }
    }
  }
  for (std::size_t i = 0; i < rows * inputs; ++i) {
    if (!layer.dx) sums.dx.value[i] = NAN;
    if (layer.relu && x[i] <= 0) sums.dx.value[i] = 0;
  }
  return sums;
}

const bool backward_registered = register_cases("linear_backward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Layer& layer : layers) {
    KernelCase c;
    c.label = layer.name();
    const Shape x{layer.rows, layer.inputs}, w{layer.outputs, layer.inputs}, dy{layer.rows, layer.outputs};
    c.inputs = {
        {"x", x, random.normal(x)}, {"w", w, random.normal(w), {}, Role::parameter}, {"dy", dy, random.normal(dy)}};
    c.outputs = {{"dw", w, roundoffs_of(layer.rows), 0, {}, {}, Role::parameter},
                 {"dbias", {layer.outputs}, roundoffs_of(layer.rows), 0, {}, {}, Role::parameter},
                 {"dx", x, roundoffs_of(layer.outputs)}};
    // In bf16 the weights are rounded, too: two roundoffs of each term of dx, at most.
    c.outputs[2].roundoffs_bf16 = 2.1;
    c.dtypes = activation_dtypes;
    c.run = [layer](const Device& device, auto& in, auto& out) {
      kernels::linear_backward(device, in[0], in[1], in[2],
                               {out[0], layer.bias ? out[1] : View(), layer.dx ? out[2] : View(), layer.relu});
    };
    c.reference = [layer](auto& in, auto&) {
      const Sums sums = sums_of(layer, in);
      return std::vector<Expected>{sums.dw, sums.dbias, sums.dx};
    };
    cases.push_back(c);
  }
  return cases;
});

const bool loss_covered = covered_by_plain_test("cross_entropy_with_linear_gradients");

Tensor drawn(RandomTensors& random, DType dtype, const Shape& shape, const Device& device, double size = 1) {
  return dtype == DType::f64 ? random.f64(shape, device, -size, size) : random.f32(shape, device, -size, size);
}

std::vector<std::byte> bytes(const ConstView& view) {
  Tensor host(view.shape(), view.dtype(), Device::cpu());
  copy_bytes(view, host);
  std::vector<std::byte> result(host.bytes());
  if (!result.empty()) std::memcpy(result.data(), host.view().data(), result.size());
  return result;
}

/// Everything that the gradients of a layer's outputs make, filled with 7 beforehand.
struct Made {
  Made(const Shape& logits, const Shape& w, const Shape& bias, const Shape& x, DType dtype, const Device& device)
      : dlogits(seven(logits, dtype, device)),
        loss(seven(logits.rank() == 3 ? Shape{logits[0]} : Shape{1}, dtype, device)),
        dw(seven(w, dtype, device)),
        dbias(seven(bias, dtype, device)),
        dx(seven(x, dtype, device)) {}
  static Tensor seven(const Shape& shape, DType dtype, const Device& device) {
    Tensor tensor(shape, dtype, device);
    kernels::fill(device, 7, tensor);
    return tensor;
  }
  std::vector<std::vector<std::byte>> all() const {
    std::vector<std::vector<std::byte>> found;
    for (const Tensor* tensor : {&dlogits, &loss, &dw, &dbias, &dx}) found.push_back(bytes(tensor->view()));
    return found;
  }
  Tensor dlogits, loss, dw, dbias, dx;
};

/// Three replicas in one call, and each by itself; joined and one after the other: the same bits.
void expect_same_bits(const Device& device, DType dtype, std::int64_t rows, std::int64_t inputs, std::int64_t classes,
                      std::uint64_t seed) {
  constexpr std::int64_t replicas = 3;
  RandomTensors random(seed);
  const auto stacked = [](const Shape& shape) { return Shape{replicas, shape[0], shape[1]}; };
  const Shape x_shape{rows, inputs}, w_shape{classes, inputs}, logits_shape{rows, classes};
  const Tensor x = drawn(random, dtype, stacked(x_shape), device), w = drawn(random, dtype, stacked(w_shape), device);
  const Tensor logits = drawn(random, dtype, stacked(logits_shape), device, 3);
  const Tensor labels = random.i32(replicas * rows, classes, device).reshaped({replicas, rows});
  Made joined(stacked(logits_shape), stacked(w_shape), {replicas, classes}, stacked(x_shape), dtype, device);
  kernels::cross_entropy_with_linear_gradients(device, logits, {labels}, x, w, joined.dlogits, joined.loss,
                                               {joined.dw, joined.dbias, joined.dx, true});
  Made apart(stacked(logits_shape), stacked(w_shape), {replicas, classes}, stacked(x_shape), dtype, device);
  kernels::cross_entropy_with_gradient(device, logits, {labels}, apart.dlogits, apart.loss);
  kernels::linear_backward(device, x, w, apart.dlogits, {apart.dw, apart.dbias, apart.dx, true});
  EXPECT_EQ(joined.all(), apart.all());
  for (std::int64_t r = 0; r < replicas; ++r) {
    const auto of = [r](const Tensor& all, const Shape& shape) {
      return all.view().slice(0, r, r + 1).reshaped(shape);
    };
    Made one(logits_shape, w_shape, {classes}, x_shape, dtype, device);
    kernels::cross_entropy_with_linear_gradients(device, of(logits, logits_shape), {of(labels, {rows})}, of(x, x_shape),
                                                 of(w, w_shape), one.dlogits, one.loss,
                                                 {one.dw, one.dbias, one.dx, true});
    const std::vector<std::vector<std::byte>> part = {
        bytes(of(joined.dlogits, logits_shape)), bytes(of(joined.loss, {1})), bytes(of(joined.dw, w_shape)),
        bytes(of(joined.dbias, {classes})), bytes(of(joined.dx, x_shape))};
    EXPECT_EQ(one.all(), part) << "replica " << r;
  }
}

TEST(CrossEntropyWithLinearGradients, HasTheBitsOfBothAndOfEachReplica) {
  const std::uint64_t seed = fresh_seed();
  for (const Device& device : devices()) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      for (const auto& [rows, inputs, classes] : {std::array<std::int64_t, 3>{1, 1, 1}, {130, 33, 10}, {31, 65, 33}}) {
        SCOPED_TRACE(fmt::format("{} {}, {} rows, {} inputs, {} classes, seed {}", device.name(), name_of(dtype), rows,
                                 inputs, classes, seed));
        expect_same_bits(device, dtype, rows, inputs, classes, seed);
      }
    }
  }
}

/// Gradients have the same bits alone and beside each other: groups of parameters ask for them one by one.
TEST(LinearBackward, EachGradientIsThatOfAll) {
  const std::uint64_t seed = fresh_seed();
  for (const Device& device : devices()) {
    for (const auto& [rows, inputs, outputs] : {std::array<std::int64_t, 3>{200, 33, 10}, {517, 129, 131}}) {
      SCOPED_TRACE(fmt::format("{}, {} rows, seed {}", device.name(), rows, seed));
      RandomTensors random(seed);
      const Tensor x = random.f32({rows, inputs}, device), w = random.f32({outputs, inputs}, device);
      const Tensor dy = random.f32({rows, outputs}, device);
      Tensor dw({outputs, inputs}, DType::f32, device), dbias({outputs}, DType::f32, device);
      Tensor dx({rows, inputs}, DType::f32, device), dw_alone({outputs, inputs}, DType::f32, device);
      Tensor dx_alone({rows, inputs}, DType::f32, device);
      kernels::linear_backward(device, x, w, dy, {dw, dbias, dx});
      kernels::linear_backward(device, x, w, dy, {dw_alone});
      kernels::linear_backward(device, x, w, dy, {{}, {}, dx_alone});
      EXPECT_EQ(bytes(dw_alone.view()), bytes(dw.view()));
      EXPECT_EQ(bytes(dx_alone.view()), bytes(dx.view()));
    }
  }
}

/// x and w that all replicas share.
TEST(LinearBackward, SharesOperandsOfReplicas) {
  const std::uint64_t seed = fresh_seed();
  constexpr std::int64_t replicas = 2, rows = 140, inputs = 9, outputs = 5;
  for (const Device& device : devices()) {
    SCOPED_TRACE(device.name() + ", seed " + std::to_string(seed));
    RandomTensors random(seed);
    const Tensor x = random.f32({rows, inputs}, device), w = random.f32({outputs, inputs}, device);
    const Tensor dy = random.f32({replicas, rows, outputs}, device);
    Tensor dw({replicas, outputs, inputs}, DType::f32, device), dbias({replicas, outputs}, DType::f32, device);
    Tensor dx({replicas, rows, inputs}, DType::f32, device);
    kernels::linear_backward(device, x, w, dy, {dw, dbias, dx, true});
    for (std::int64_t r = 0; r < replicas; ++r) {
      Tensor own_dw({outputs, inputs}, DType::f32, device), own_dbias({outputs}, DType::f32, device);
      Tensor own_dx({rows, inputs}, DType::f32, device);
      const auto of = [r](const Tensor& all, const Shape& shape) {
        return all.view().slice(0, r, r + 1).reshaped(shape);
      };
      kernels::linear_backward(device, x, w, of(dy, {rows, outputs}), {own_dw, own_dbias, own_dx, true});
      EXPECT_EQ(bytes(own_dw.view()), bytes(of(dw, {outputs, inputs})));
      EXPECT_EQ(bytes(own_dbias.view()), bytes(of(dbias, {outputs})));
      EXPECT_EQ(bytes(own_dx.view()), bytes(of(dx, {rows, inputs})));
    }
  }
}

TEST(LinearBackward, WrongOperandsAreErrors) {
  for (const Device& device : devices()) {
    const auto zeros = [&](const Shape& shape, DType dtype = DType::f32) {
      return Tensor::zeros(shape, dtype, device);
    };
    const Tensor x = zeros({4, 3}), w = zeros({2, 3}), dy = zeros({4, 2});
    Tensor dw = zeros({2, 3}), dbias = zeros({2}), dx = zeros({4, 3}), long_bias = zeros({3}), turned = zeros({3, 4});
    const Tensor wide_w = zeros({2, 4}), long_dy = zeros({5, 2}), other = zeros({4, 2}, DType::f64),
                 stacked = zeros({2, 4, 3});
    EXPECT_THROW(kernels::linear_backward(device, x, wide_w, dy, {dw}), ShapeError);
    EXPECT_THROW(kernels::linear_backward(device, x, w, long_dy, {dw}), ShapeError);
    EXPECT_THROW(kernels::linear_backward(device, x, w, other, {dw}), DTypeError);
    EXPECT_THROW(kernels::linear_backward(device, x, w, dy, {{}, dbias}), ValueError);
    EXPECT_THROW(kernels::linear_backward(device, x, w, dy, {dw, long_bias}), ShapeError);
    EXPECT_THROW(kernels::linear_backward(device, x, w, dy, {dw, dbias, turned}), ShapeError);
    EXPECT_THROW(kernels::linear_backward(device, stacked, w, dy, {dw}), ShapeError);
    EXPECT_NO_THROW(kernels::linear_backward(device, x, w, dy, {dw, dbias, dx}));
  }
}

/// What the limit is for: any extents, also those whose product is no number of 64 bits.
TEST(LinearBackward, LargeLayersAreLeftToProducts) {
  EXPECT_TRUE(kernels::linear_backward_is_one_launch({512, 128, 10}));
  EXPECT_TRUE(kernels::linear_backward_is_one_launch({512, 64, 128}));
  EXPECT_TRUE(kernels::linear_backward_is_one_launch({0, 3, 2}));
  EXPECT_FALSE(kernels::linear_backward_is_one_launch({4096, 512, 512}));
  constexpr std::int64_t huge = std::int64_t{1} << 40;
  EXPECT_FALSE(kernels::linear_backward_is_one_launch({huge, huge, huge}));
  EXPECT_FALSE(kernels::cross_entropy_with_linear_gradients_is_one_launch({2, 3, 2048}));
}

}  // namespace
}  // namespace rtl::test
