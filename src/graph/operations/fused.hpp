// Operations that passes put in the place of chains of plain ones: one walk through memory instead of several. They
// have no gradient rule, since passes run after differentiation. Operands and results stand where they stand in the
// plain operations, those that fusion adds behind them; each may be absent unless said otherwise.
#pragma once

#include <memory>
#include <optional>

#include "graph/operations/convolution.hpp"
#include "graph/operations/norm.hpp"

namespace rtl::graph {

/// activation(conv(x, w) [+ bias] [+ residual]). Operands x, w, bias, residual. The bits are those of the plain chain,
/// but for f64 on the host with bias and residual, which are added to each other first: two roundoffs of the largest
/// result.
std::shared_ptr<const Operation> make_fused_conv2d(const kernels::Conv2dOptions& options,
                                                   kernels::Activation activation);

/// What make_fused_conv2d was given; absent for any other operation.
struct FusedConvolution {
  kernels::Conv2dOptions options;
  kernels::Activation activation = kernels::Activation::none;
};
std::optional<FusedConvolution> fused_convolution(const Operation& operation);

/// [relu](x w^T [+ bias]). Operands x, w, bias. The bits are those of the plain chain.
std::shared_ptr<const Operation> make_fused_linear(bool relu);

/// [relu](batch_norm_training(x) [+ residual]). Operands x, gamma, beta, running mean, running variance, residual;
/// results y, the batch's mean, its inverse deviation, the running statistics. The bits are those of the plain chain.
std::shared_ptr<const Operation> make_fused_batch_norm_training(const BatchNormOptions& options, bool relu);
/// Its gradients. Operands x, gamma, the batch's mean, its inverse deviation, dy, and, needed with ReLU, the forward's
/// y; results dx, dgamma, dbeta, and, with a residual, its gradient.
std::shared_ptr<const Operation> make_fused_batch_norm_training_backward(bool relu, bool residual);

/// [relu](batch_norm_evaluation(x) [+ residual]). Operands x, gamma, beta, mean, variance, residual; result y.
std::shared_ptr<const Operation> make_fused_batch_norm_evaluation(const BatchNormOptions& options, bool relu);
/// Its gradients. Operands x, gamma, mean, variance, dy, and y as above; results as above.
std::shared_ptr<const Operation> make_fused_batch_norm_evaluation_backward(const BatchNormOptions& options, bool relu,
                                                                           bool residual);

/// relu(a + b) of equal shapes. The bits are those of the plain chain.
std::shared_ptr<const Operation> make_add_relu();

}  // namespace rtl::graph
