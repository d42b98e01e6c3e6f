#include "kernels/check_loss.hpp"

namespace rtl::kernels::check {

void loss(const char* call, const Device& device, const Named& rows, const Labels& labels, const Named& losses,
          bool shared_loss) {
  const bool stacked = rows.view.rank() == 3;
  rank(call, rows, stacked ? 3 : 2);
  const std::int64_t replicas = stacked ? rows.view.extent(0) : 0, count = rows.view.extent(-2);
  const Named named{"labels", labels.labels};
  on_device(call, device, {named});
  dtype(call, named, DType::i32);
  contiguous(call, {named});
  if (labels.rows.given()) {
    rank(call, named, 1);
    row_numbers(call, device, labels.rows, labels.counters, replicas, count);
  } else {
    const bool own = stacked && labels.labels.rank() == 2;
    shape(call, named, own ? replicated(replicas, {count}) : Shape{count});
  }
  value(rows.view.count() > 0, call, [&] {
    return fmt::format("'{}' is {}; the mean loss needs a row and a class", rows.name, rows.view.shape().to_string());
  });
  if (losses.view.count() != (stacked ? replicas : 1) && !(shared_loss && losses.view.count() == 1)) {
    throw ShapeError(fmt::format("{}: '{}' is {}, but one element{} is needed", call, losses.name,
                                 losses.view.shape().to_string(), stacked ? " a replica" : ""));
  }
}

void loss_with_gradient(const char* call, const Device& device, ConstView logits, const Labels& labels, View dlogits,
                        View loss) {
  dense_operands(call, device, {{"logits", logits}, {"dlogits", dlogits}, {"loss", loss}});
  check::loss(call, device, {"logits", logits}, labels, {"loss", loss}, false);
  shape(call, {"dlogits", dlogits}, logits.shape());
}

}  // namespace rtl::kernels::check
