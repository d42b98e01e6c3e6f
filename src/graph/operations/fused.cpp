// The fused operations themselves: the kernels with everything that they take behind them.
#include "graph/operations/fused.hpp"

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/norm.hpp"

namespace rtl::graph {
namespace {

using kernels::Activation;

double count_of(const Value& value) { return static_cast<double>(value.shape().count()); }

/// Floating-point operations of what is fused behind a result of `count` elements.
double epilogue_flops(double count, std::span<const Value> added, bool relu) {
  double an_element = relu ? 1 : 0;
  for (const Value& operand : added) an_element += operand.defined() ? 1 : 0;
  return count * an_element;
}

/// An operand that is added to, or stands beside, a result of `type`; it may be absent.
void check_beside(std::string_view operation, std::string_view role, const Value& operand, const Type& type) {
  check_shape(!operand.defined() || operand.type() == type, operation, "{} is {}, the result {}", role,
              operand.defined() ? operand.type().to_string() : "", type.to_string());
}

std::string with_relu(std::string attributes, bool relu) {
  if (relu) attributes += attributes.empty() ? "relu" : ", relu";
  return attributes;
}

class FusedConv2d final : public Operation {
 public:
  FusedConv2d(const kernels::Conv2dOptions& options, Activation activation)
      : options_(options), activation_(activation) {}
  std::string_view name() const noexcept override { return "fused_conv2d"; }
  std::string attributes() const override { return describe(options_) + describe(activation_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_layer(name(), operands.first(3), 1);
    const Type y{conv2d_shape(name(), operands[0].shape(), operands[1].shape(), options_), operands[0].dtype()};
    check_beside(name(), "the bias", operands[2], {{y.shape[3]}, operands[1].dtype()});
    check_beside(name(), "the residual", operands[3], y);
    return {y};
  }
  void run(const Call& call) const override {
    kernels::conv2d_forward(call.device(), call.in(0), call.in(1), call.in(2), options_, call.out(0), activation_,
                            call.in(3));
  }
  double flops(std::span<const Value> operands) const override {
    const Shape& w = operands[1].shape();
    const std::int64_t outputs = conv2d_shape(name(), operands[0].shape(), w, options_).count();
    return conv2d_flops(outputs, w) +
           epilogue_flops(static_cast<double>(outputs), operands.subspan(2), activation_ != Activation::none);
  }
  int launches(std::span<const Value> operands) const override {
    return 1 + convolution_launches(operands[0].dtype(), operands[2].defined(), activation_, operands[3].defined());
  }
  FusedConvolution fused() const { return {options_, activation_}; }

 private:
  kernels::Conv2dOptions options_;
  Activation activation_;
};

class FusedLinear final : public Operation {
 public:
  explicit FusedLinear(bool relu) : relu_(relu) {}
  std::string_view name() const noexcept override { return "fused_linear"; }
  std::string attributes() const override { return with_relu("", relu_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_layer(name(), operands, 1);
    const Shape &x = operands[0].shape(), &w = operands[1].shape();
    check_shape(x.rank() == 2 && w.rank() == 2 && x[1] == w[1], name(),
                "x is {}, w {}; x [N, in] and w [out, in] are needed", x.to_string(), w.to_string());
    check_beside(name(), "the bias", operands[2], {{w[0]}, operands[1].dtype()});
    return {{{x[0], w[0]}, operands[0].dtype()}};
  }
  void run(const Call& call) const override {
    kernels::gemm(call.device(), kernels::Transpose::no, kernels::Transpose::yes, 1, call.in(0), call.in(1), 0,
                  call.out(0), epilogue(call), call.in(2));
  }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override { return true; }
  void run_replicas(const Call& call) const override {
    const auto batch = [](const ConstView& x) { return x.rank() == 3 ? x : x.reshaped({1, x.extent(0), x.extent(1)}); };
    kernels::gemm_batched(call.device(), kernels::Transpose::no, kernels::Transpose::yes, 1, batch(call.in(0)),
                          batch(call.in(1)), 0, call.out(0), epilogue(call), call.in(2));
  }
  double flops(std::span<const Value> operands) const override {
    const double outputs = static_cast<double>(operands[0].extent(0) * operands[1].extent(0));
    return 2 * outputs * static_cast<double>(operands[0].extent(1)) +
           epilogue_flops(outputs, operands.subspan(2), relu_);
  }
  int launches(std::span<const Value> operands) const override {
    return product_launches(operands[0].dtype(), operands[1].dtype(), operands[0].dtype(),
                            relu_ || operands[2].defined());
  }

 private:
  kernels::Epilogue epilogue(const Call& call) const {
    using kernels::Epilogue;
    const bool bias = call.in(2).given();
    if (relu_) return bias ? Epilogue::bias_relu : Epilogue::relu;
    return bias ? Epilogue::bias : Epilogue::none;
  }

  bool relu_;
};

class FusedBatchNormTraining final : public Operation {
 public:
  FusedBatchNormTraining(const BatchNormOptions& options, bool relu) : options_(options), relu_(relu) {}
  std::string_view name() const noexcept override { return "fused_batch_norm_training"; }
  std::string attributes() const override { return with_relu(describe(options_), relu_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_options(name(), options_);
    check_batch_norm_training(name(), operands);
    check_beside(name(), "the residual", operands[5], operands[0].type());
    const Type& vector = operands[1].type();
    return {operands[0].type(), vector, vector, vector, vector};
  }
  void run(const Call& call) const override {
    kernels::batch_norm_training_forward(call.device(), call.in(0), call.in(1), call.in(2), options_.epsilon,
                                         options_.momentum, call.out(3), call.out(4), call.out(0), call.out(1),
                                         call.out(2), relu_, call.in(5));
  }
  std::optional<Aliasing> aliasing(std::size_t result) const override {
    if (result < 3) return std::nullopt;
    return Aliasing{.operand = static_cast<int>(result), .writes = true};
  }
  bool may_overwrite(std::size_t result, std::size_t operand) const override {
    return result == 0 && (operand == 0 || operand == 5);
  }
  double flops(std::span<const Value> operands) const override {
    const double count = count_of(operands[0]);
    return batch_norm_training_flops * count + epilogue_flops(count, operands.subspan(5), relu_);
  }

 private:
  BatchNormOptions options_;
  bool relu_;
};

class FusedBatchNormEvaluation final : public Operation {
 public:
  FusedBatchNormEvaluation(const BatchNormOptions& options, bool relu) : options_(options), relu_(relu) {}
  std::string_view name() const noexcept override { return "fused_batch_norm_evaluation"; }
  std::string attributes() const override { return with_relu(fmt::format("epsilon {}", options_.epsilon), relu_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_options(name(), options_);
    check_batch_norm(name(), operands, 4);
    check_beside(name(), "the residual", operands[5], operands[0].type());
    return {operands[0].type()};
  }
  void run(const Call& call) const override {
    kernels::batch_norm_evaluation_forward(call.device(), call.in(0), call.in(1), call.in(2), call.in(3), call.in(4),
                                           options_.epsilon, call.out(0), relu_, call.in(5));
  }
  bool may_overwrite(std::size_t, std::size_t operand) const override { return operand == 0 || operand == 5; }
  double flops(std::span<const Value> operands) const override {
    const double count = count_of(operands[0]);
    return batch_norm_evaluation_flops * count + epilogue_flops(count, operands.subspan(5), relu_);
  }
  int launches(std::span<const Value>) const override { return 2; }

 private:
  BatchNormOptions options_;
  bool relu_;
};

/// Both forms of the gradients: operands 2 and 3 are the batch's mean and inverse deviation, or, where there are
/// options, the running mean and variance.
class FusedBatchNormBackward final : public Operation {
 public:
  FusedBatchNormBackward(const std::optional<BatchNormOptions>& evaluation, bool relu, bool residual)
      : evaluation_(evaluation), relu_(relu), residual_(residual) {}
  std::string_view name() const noexcept override {
    return evaluation_ ? "fused_batch_norm_evaluation_backward" : "fused_batch_norm_training_backward";
  }
  std::string attributes() const override {
    return with_relu(evaluation_ ? fmt::format("epsilon {}", evaluation_->epsilon) : "", relu_);
  }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_batch_norm(name(), operands, 3);
    check_beside(name(), "dy", operands[4], operands[0].type());
    check_beside(name(), "y", operands[5], operands[0].type());
    if (relu_ && !operands[5].defined()) throw ValueError(fmt::format("{}: y is needed behind a ReLU", name()));
    std::vector<Type> types{operands[0].type(), operands[1].type(), operands[1].type()};
    if (residual_) types.push_back(operands[0].type());
    return types;
  }
  void run(const Call& call) const override {
    const View dresidual = residual_ ? call.out(3) : View();
    if (evaluation_) {
      kernels::batch_norm_evaluation_backward(call.device(), call.in(0), call.in(5), call.in(1), call.in(2), call.in(3),
                                              evaluation_->epsilon, call.in(4), call.out(0), call.out(1), call.out(2),
                                              relu_, dresidual);
    } else {
      kernels::batch_norm_training_backward(call.device(), call.in(0), call.in(5), call.in(1), call.in(2), call.in(3),
                                            call.in(4), call.out(0), call.out(1), call.out(2), relu_, dresidual);
    }
  }
  bool may_overwrite(std::size_t result, std::size_t operand) const override { return result == 0 && operand == 4; }
  double flops(std::span<const Value> operands) const override {
    return batch_norm_backward_flops * count_of(operands[0]);
  }
  int launches(std::span<const Value>) const override { return evaluation_ ? 2 : 1; }

 private:
  std::optional<BatchNormOptions> evaluation_;
  bool relu_, residual_;
};

class AddRelu final : public Operation {
 public:
  std::string_view name() const noexcept override { return "add_relu"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands);
    check_shape(operands[0].shape() == operands[1].shape(), name(), "{} and {}; equal shapes are needed",
                operands[0].shape().to_string(), operands[1].shape().to_string());
    return {operands[0].type()};
  }
  void run(const Call& call) const override { kernels::add_relu(call.device(), call.in(0), call.in(1), call.out(0)); }
  bool may_overwrite(std::size_t, std::size_t) const override { return true; }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>& replicated) const override {
    return replicated[0] && replicated[1];
  }
  double flops(std::span<const Value> operands) const override { return 2 * count_of(operands[0]); }
};

}  // namespace

std::shared_ptr<const Operation> make_fused_conv2d(const kernels::Conv2dOptions& options, Activation activation) {
  return std::make_shared<const FusedConv2d>(options, activation);
}
std::optional<FusedConvolution> fused_convolution(const Operation& operation) {
  const auto* convolution = dynamic_cast<const FusedConv2d*>(&operation);
  return convolution == nullptr ? std::nullopt : std::optional(convolution->fused());
}
std::shared_ptr<const Operation> make_fused_linear(bool relu) { return std::make_shared<const FusedLinear>(relu); }
std::shared_ptr<const Operation> make_fused_batch_norm_training(const BatchNormOptions& options, bool relu) {
  return std::make_shared<const FusedBatchNormTraining>(options, relu);
}
std::shared_ptr<const Operation> make_fused_batch_norm_training_backward(bool relu, bool residual) {
  return std::make_shared<const FusedBatchNormBackward>(std::nullopt, relu, residual);
}
std::shared_ptr<const Operation> make_fused_batch_norm_evaluation(const BatchNormOptions& options, bool relu) {
  return std::make_shared<const FusedBatchNormEvaluation>(options, relu);
}
std::shared_ptr<const Operation> make_fused_batch_norm_evaluation_backward(const BatchNormOptions& options, bool relu,
                                                                           bool residual) {
  return std::make_shared<const FusedBatchNormBackward>(options, relu, residual);
}
std::shared_ptr<const Operation> make_add_relu() { return std::make_shared<const AddRelu>(); }

}  // namespace rtl::graph
