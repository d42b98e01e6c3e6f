#include "rtl/kernels/softmax.hpp"

#include "kernels/backend/softmax.hpp"
#include "kernels/check_loss.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {

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
  check::loss(call, device, {"logits", logits}, labels, {"loss", loss}, false);
  check::shape(call, {"probabilities", probabilities}, logits.shape());
  RTL_DISPATCH(device, cross_entropy_forward(device, logits, labels, probabilities, loss));
}

void cross_entropy_backward(const Device& device, ConstView probabilities, const Labels& labels, ConstView dloss,
                            View dlogits) {
  constexpr auto call = "cross_entropy_backward";
  check::dense_operands(call, device, {{"probabilities", probabilities}, {"dloss", dloss}, {"dlogits", dlogits}});
  check::loss(call, device, {"probabilities", probabilities}, labels, {"dloss", dloss}, true);
  check::shape(call, {"dlogits", dlogits}, probabilities.shape());
  RTL_DISPATCH(device, cross_entropy_backward(device, probabilities, labels, dloss, dlogits));
}

void cross_entropy_with_gradient(const Device& device, ConstView logits, const Labels& labels, View dlogits,
                                 View loss) {
  check::loss_with_gradient("cross_entropy_with_gradient", device, logits, labels, dlogits, loss);
  RTL_DISPATCH(device, cross_entropy_with_gradient(device, logits, labels, dlogits, loss));
}

}  // namespace rtl::kernels
