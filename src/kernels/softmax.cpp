#include "rtl/kernels/softmax.hpp"

#include "kernels/backend/softmax.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {
namespace {

void check_loss(const char* call, const Device& device, const check::Named& rows, ConstView labels,
                const check::Named& loss) {
  check::rank(call, rows, 2);
  check::on_device(call, device, {{"labels", labels}});
  check::dtype(call, {"labels", labels}, DType::i32);
  check::contiguous(call, {{"labels", labels}});
  check::shape(call, {"labels", labels}, {rows.view.extent(0)});
  check::value(rows.view.count() > 0, call, [&] {
    return fmt::format("'{}' is {}; the mean loss needs a row and a class", rows.name, rows.view.shape().to_string());
  });
  if (loss.view.count() != 1) {
    throw ShapeError(
        fmt::format("{}: '{}' is {}, but one element is needed", call, loss.name, loss.view.shape().to_string()));
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

void cross_entropy_forward(const Device& device, ConstView logits, ConstView labels, View probabilities, View loss) {
  constexpr auto call = "cross_entropy_forward";
  check::dense_operands(call, device, {{"logits", logits}, {"probabilities", probabilities}, {"loss", loss}});
  check_loss(call, device, {"logits", logits}, labels, {"loss", loss});
  check::shape(call, {"probabilities", probabilities}, logits.shape());
  RTL_DISPATCH(device, cross_entropy_forward(device, logits, labels, probabilities, loss));
}

void cross_entropy_backward(const Device& device, ConstView probabilities, ConstView labels, ConstView dloss,
                            View dlogits) {
  constexpr auto call = "cross_entropy_backward";
  check::dense_operands(call, device, {{"probabilities", probabilities}, {"dloss", dloss}, {"dlogits", dlogits}});
  check_loss(call, device, {"probabilities", probabilities}, labels, {"dloss", dloss});
  check::shape(call, {"dlogits", dlogits}, probabilities.shape());
  RTL_DISPATCH(device, cross_entropy_backward(device, probabilities, labels, dloss, dlogits));
}

}  // namespace rtl::kernels
