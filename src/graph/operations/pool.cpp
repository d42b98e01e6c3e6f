// Pooling and the other maps of images without weights: a table with a row for each.
#include "rtl/kernels/pool.hpp"

#include <algorithm>
#include <array>

#include "graph/operations/support.hpp"

namespace rtl::graph {
namespace {

using kernels::PoolOptions;

/// What the maps of images know: only what is theirs matters.
struct MapOptions {
  PoolOptions pool = {};
  std::int64_t channels = 0;  ///< of the shortcut
};

/// A linear map of images, which has no parameters, and its transposed map.
struct MapRow {
  std::string_view name, transposed_name;
  Shape (*result)(const Shape& x, const MapOptions& options);
  void (*run)(const Device& device, ConstView x, const MapOptions& options, View y);
  void (*run_transposed)(const Device& device, ConstView dy, const MapOptions& options, View dx);
  /// Additions that give y.
  std::int64_t (*additions)(const Shape& x, const MapOptions& options);
  bool keeps_images_apart;  ///< the bits of an image do not depend on how many there are beside it
  bool wide;                ///< y has the dtype of parameters: means of bf16 images are f32
};

void check_images(std::string_view operation, const Shape& x) {
  check_shape(x.rank() == 4, operation, "x is {}; images [N, H, W, C] are needed", x.to_string());
}

Shape pooled_shape(std::string_view operation, const Shape& x, const PoolOptions& options) {
  check_images(operation, x);
  if (options.window < 1 || options.stride < 1) {
    throw ValueError(
        fmt::format("{}: window {} and stride {} must be positive", operation, options.window, options.stride));
  }
  if (options.padding < 0 || 2 * options.padding > options.window) {
    throw ValueError(fmt::format("{}: padding {} is not between 0 and half of the window {}", operation,
                                 options.padding, options.window));
  }
  const std::int64_t height = x[1] + 2 * options.padding, width = x[2] + 2 * options.padding;
  check_shape(std::min(x[1], x[2]) > 0 && height >= options.window && width >= options.window, operation,
              "a window of {} does not fit into {}", options.window, x.to_string());
  return {x[0], (height - options.window) / options.stride + 1, (width - options.window) / options.stride + 1, x[3]};
}

std::string describe(const PoolOptions& options) {
  return fmt::format("window {}, stride {}", options.window, options.stride) +
         (options.padding > 0 ? fmt::format(", padding {}", options.padding) : "");
}

Shape averaged_shape(const Shape& x, const MapOptions&) {
  check_images("global_average_pool", x);
  check_shape(x[1] * x[2] > 0, "global_average_pool", "{} has no positions to average", x.to_string());
  return {x[0], x[3]};
}

Shape flat_shape(const Shape& x, const MapOptions&) {
  check_images("flatten", x);
  return {x[0], x[1] * x[2] * x[3]};
}

Shape shortcut_shape(const Shape& x, const MapOptions& options) {
  check_images("shortcut_a", x);
  check_shape(options.channels >= x[3], "shortcut_a", "{} has more than {} channels; this shortcut only adds channels",
              x.to_string(), options.channels);
  return {x[0], (x[1] + 1) / 2, (x[2] + 1) / 2, options.channels};
}

Shape average_shape(const Shape& x, const MapOptions& options) {
  if (options.pool.padding != 0) throw ValueError("average_pool: means are taken without padding");
  return pooled_shape("average_pool", x, options.pool);
}

using V = ConstView;
using O = const MapOptions&;
using D = const Device&;
constexpr MapRow average_row = {
    "average_pool",
    "average_pool_backward",
    average_shape,
    [](D d, V x, O o, View y) { kernels::average_pool_forward(d, x, o.pool, y); },
    [](D d, V dy, O o, View dx) { kernels::average_pool_backward(d, dy, o.pool, dx); },
    [](const Shape& x, O o) { return average_shape(x, o).count() * o.pool.window * o.pool.window; },
    true,
    false};
constexpr MapRow global_row = {"global_average_pool",
                               "global_average_pool_backward",
                               averaged_shape,
                               [](D d, V x, O, View y) { kernels::global_average_pool_forward(d, x, y); },
                               [](D d, V dy, O, View dx) { kernels::global_average_pool_backward(d, dy, dx); },
                               [](const Shape& x, O) { return x.count(); },
                               false,
                               true};
constexpr MapRow flatten_row = {"flatten",
                                "flatten_backward",
                                flat_shape,
                                [](D d, V x, O, View y) { kernels::flatten_forward(d, x, y); },
                                [](D d, V dy, O, View dx) { kernels::flatten_backward(d, dy, dx); },
                                [](const Shape&, O) { return std::int64_t{0}; },
                                true,
                                false};
constexpr MapRow shortcut_row = {"shortcut_a",
                                 "shortcut_a_backward",
                                 shortcut_shape,
                                 [](D d, V x, O, View y) { kernels::shortcut_a_forward(d, x, y); },
                                 [](D d, V dy, O, View dx) { kernels::shortcut_a_backward(d, dy, dx); },
                                 [](const Shape&, O) { return std::int64_t{0}; },
                                 true,
                                 false};

bool all_of(const std::vector<bool>& replicated) {
  return std::all_of(replicated.begin(), replicated.end(), [](bool each) { return each; });
}

/// [replicas, N, ...] as [replicas * N, ...].
template <typename AnyView>
AnyView one_batch(const AnyView& stacked) {
  const std::span<const std::int64_t> extents = stacked.shape().extents();
  std::array<std::int64_t, Shape::max_rank> joined{};
  std::copy(extents.begin() + 1, extents.end(), joined.begin());
  joined.front() *= extents.front();
  return stacked.reshaped(Shape(std::span<const std::int64_t>(joined.data(), extents.size() - 1)));
}

/// Operand x, or dy for the transposed map.
class ImageMap final : public Operation {
 public:
  ImageMap(const MapRow& row, const MapOptions& options, const Type& x, bool transposed)
      : row_(row), options_(options), x_(x), transposed_(transposed) {}
  std::string_view name() const noexcept override { return transposed_ ? row_.transposed_name : row_.name; }
  std::string attributes() const override { return &row_ == &average_row ? describe(options_.pool) : ""; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands);
    const Type y{row_.result(x_.shape, options_), row_.wide ? parameter_dtype(x_.dtype) : x_.dtype};
    check_shape(operands[0].type() == (transposed_ ? y : x_), name(), "its operand is {}, its results {}",
                operands[0].type().to_string(), x_.to_string());
    return {transposed_ ? x_ : y};
  }
  void run(const Call& call) const override { run_on(call.device(), call.in(0), call.out(0)); }
  void run_replicas(const Call& call) const override {
    run_on(call.device(), one_batch(call.in(0)), one_batch(call.out(0)));
  }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override {
    return row_.keeps_images_apart || transposed_;
  }
  void gradient(GradientCall& call) const override {
    call.give(0, call.gradient().graph().add_one(std::make_shared<const ImageMap>(row_, options_, x_, !transposed_),
                                                 {call.gradient()}));
  }
  double flops(std::span<const Value>) const override {
    return static_cast<double>(row_.additions(x_.shape, options_));
  }

 private:
  void run_on(const Device& device, const ConstView& from, const View& to) const {
    (transposed_ ? row_.run_transposed : row_.run)(device, from, options_, to);
  }

  const MapRow& row_;
  MapOptions options_;
  Type x_;
  bool transposed_;
};

/// What the operations about the largest elements share; `winners` are positions within each image.
class Winners : public Operation {
 public:
  Winners(const PoolOptions& options, const Shape& x_shape) : options_(options), x_shape_(x_shape) {}
  std::string attributes() const override { return describe(options_); }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>& replicated) const override {
    return all_of(replicated);
  }

 protected:
  void check_operands(std::span<const Value> operands, const Shape& first) const {
    check_activations(name(), operands.first(1));
    const Shape pooled = pooled_shape(name(), x_shape_, options_);
    check_shape(operands[0].shape() == first && operands[1].shape() == pooled, name(),
                "{} with winners {} for images {}", operands[0].shape().to_string(), operands[1].shape().to_string(),
                x_shape_.to_string());
    if (operands[1].dtype() == DType::i32) return;
    throw DTypeError(fmt::format("{}: the winners are {}; i32 is needed", name(), operands[1].type().to_string()));
  }
  Shape pooled() const { return pooled_shape(name(), x_shape_, options_); }

  PoolOptions options_;
  Shape x_shape_;
};

/// Operands dy, winners; result dx.
class MaxPoolBackward final : public Winners {
 public:
  using Winners::Winners;
  std::string_view name() const noexcept override { return "max_pool_backward"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_operands(operands, pooled());
    return {{x_shape_, operands[0].dtype()}};
  }
  void run(const Call& call) const override {
    kernels::max_pool_backward(call.device(), call.in(0), call.in(1), options_, call.out(0));
  }
  void run_replicas(const Call& call) const override {
    kernels::max_pool_backward(call.device(), one_batch(call.in(0)), one_batch(call.in(1)), options_,
                               one_batch(call.out(0)));
  }
  void gradient(GradientCall& call) const override;
  double flops(std::span<const Value> operands) const override {
    return static_cast<double>(operands[0].shape().count());
  }
};

/// Operands x, winners; result x at the winners.
class MaxPoolGather final : public Winners {
 public:
  using Winners::Winners;
  std::string_view name() const noexcept override { return "max_pool_gather"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_operands(operands, x_shape_);
    return {{pooled(), operands[0].dtype()}};
  }
  void run(const Call& call) const override {
    kernels::max_pool_gather(call.device(), call.in(0), call.in(1), options_, call.out(0));
  }
  void run_replicas(const Call& call) const override {
    kernels::max_pool_gather(call.device(), one_batch(call.in(0)), one_batch(call.in(1)), options_,
                             one_batch(call.out(0)));
  }
  void gradient(GradientCall& call) const override {
    call.give(0, record<MaxPoolBackward>({call.gradient(), call.operand(1)}, options_, x_shape_));
  }
};

void MaxPoolBackward::gradient(GradientCall& call) const {
  call.give(0, record<MaxPoolGather>({call.gradient(), call.operand(1)}, options_, x_shape_));
}

/// Operand x; results y and the winners.
class MaxPool final : public Operation {
 public:
  explicit MaxPool(const PoolOptions& options) : options_(options) {}
  std::string_view name() const noexcept override { return "max_pool"; }
  std::string attributes() const override { return describe(options_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands);
    const Shape y = pooled_shape(name(), operands[0].shape(), options_);
    return {{y, operands[0].dtype()}, {y, DType::i32}};
  }
  void run(const Call& call) const override {
    kernels::max_pool_forward(call.device(), call.in(0), options_, call.out(0), call.out(1));
  }
  void run_replicas(const Call& call) const override {
    kernels::max_pool_forward(call.device(), one_batch(call.in(0)), options_, one_batch(call.out(0)),
                              one_batch(call.out(1)));
  }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override { return true; }
  void gradient(GradientCall& call) const override {
    call.give(0, record<MaxPoolBackward>({call.gradient(), call.result(1)}, options_, call.operand(0).shape()));
  }
  double flops(std::span<const Value> operands) const override {
    const Shape y = pooled_shape(name(), operands[0].shape(), options_);
    return static_cast<double>(y.count() * options_.window * options_.window);
  }

 private:
  PoolOptions options_;
};

Value record_map(const MapRow& row, const Value& x, const MapOptions& options = {}) {
  return record<ImageMap>({x}, row, options, x.type(), false);
}

}  // namespace

Value max_pool(const Value& x, const PoolOptions& options) {
  const std::array operands = {x};
  return x.graph().add(std::make_shared<const MaxPool>(options), operands).front();
}
Value average_pool(const Value& x, const PoolOptions& options) { return record_map(average_row, x, {.pool = options}); }
Value global_average_pool(const Value& x) { return record_map(global_row, x); }
Value flatten(const Value& x) { return record_map(flatten_row, x); }
Value shortcut_a(const Value& x, std::int64_t channels) { return record_map(shortcut_row, x, {.channels = channels}); }

}  // namespace rtl::graph
