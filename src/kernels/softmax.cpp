#include "rtl/kernels/softmax.hpp"

#include "kernels/backend/softmax.hpp"
#include "kernels/check_loss.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {
namespace {

/// Rows of logits or of what belongs to them, their labels, and their losses.
void check_loss(const char* call, const Device& device, const check::Named& rows, const Labels& labels,
                const check::Named& loss, bool shared_loss) {
  const bool stacked = rows.view.rank() == 3;
  check::rank(call, rows, stacked ? 3 : 2);
  const std::int64_t replicas = stacked ? rows.view.extent(0) : 0, count = rows.view.extent(-2);
  const check::Named named{"labels", labels.labels};
  check::on_device(call, device, {named});
  check::dtype(call, named, DType::i32);
  check::contiguous(call, {named});
  if (labels.rows.given()) {
    check::rank(call, named, 1);
    check::row_numbers(call, device, labels.rows, labels.counters, replicas, count);
  } else {
    const bool own = stacked && labels.labels.rank() == 2;
    check::shape(call, named, own ? check::replicated(replicas, {count}) : Shape{count});
  }
  check::value(rows.view.count() > 0, call, [&] {
    return fmt::format("'{}' is {}; the mean loss needs a row and a class", rows.name, rows.view.shape().to_string());
  });
  if (loss.view.count() != (stacked ? replicas : 1) && !(shared_loss && loss.view.count() == 1)) {
    throw ShapeError(fmt::format("{}: '{}' is {}, but one element{} is needed", call, loss.name,
                                 loss.view.shape().to_string(), stacked ? " a replica" : ""));
  }
}

}  // namespace

void softmax(const Device& device, ConstView logits, View probabilities) {
  check::dense_operands("softmax", device, {{"logits", logits}, {"probabilities", probabilities}});
  check::rank("softmax", {"logits", logits}, 2);
  check::shape("softmax", {"probabilities", probabilities}, logits.shape());
  if (logits.count() == 0) return;
  RTL_DISPATCH(device, softmax(device, logits, probabilities));
}

void cross_entropy_forward(const Device& device, ConstView logits, const Labels& labels, View probabilities,
                           View loss) {
  constexpr auto call = "cross_entropy_forward";
  check::dense_operands(call, device, {{"logits", logits}, {"probabilities", probabilities}, {"loss", loss}});
  check_loss(call, device, {"logits", logits}, labels, {"loss", loss}, false);
  check::shape(call, {"probabilities", probabilities}, logits.shape());
  RTL_DISPATCH(device, cross_entropy_forward(device, logits, labels, probabilities, loss));
}

void cross_entropy_backward(const Device& device, ConstView probabilities, const Labels& labels, ConstView dloss,
                            View dlogits) {
  constexpr auto call = "cross_entropy_backward";
  check::dense_operands(call, device, {{"probabilities", probabilities}, {"dloss", dloss}, {"dlogits", dlogits}});
  check_loss(call, device, {"probabilities", probabilities}, labels, {"dloss", dloss}, true);
  check::shape(call, {"dlogits", dlogits}, probabilities.shape());
  RTL_DISPATCH(device, cross_entropy_backward(device, probabilities, labels, dloss, dlogits));
}

void check::loss_with_gradient(const char* call, const Device& device, ConstView logits, const Labels& labels,
                               View dlogits, View loss) {
  check::dense_operands(call, device, {{"logits", logits}, {"dlogits", dlogits}, {"loss", loss}});
  check_loss(call, device, {"logits", logits}, labels, {"loss", loss}, false);
  check::shape(call, {"dlogits", dlogits}, logits.shape());
}

void cross_entropy_with_gradient(const Device& device, ConstView logits, const Labels& labels, View dlogits,
                                 View loss) {
  check::loss_with_gradient("cross_entropy_with_gradient", device, logits, labels, dlogits, loss);
  RTL_DISPATCH(device, cross_entropy_with_gradient(device, logits, labels, dlogits, loss));
}

}  // namespace rtl::kernels
