// CIFAR-10: one label byte.
#include "data/cifar_records.hpp"
#include "data/format.hpp"
#include "data/format_options.hpp"

namespace rtl::data::formats {
namespace {

TrainTest load(const Spec& spec, const Device& host) {
  const CifarFiles files{
      1,
      0,
      10,
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      {"test_batch.bin"},
      {"classes.txt", "batches.meta.txt"}};
  return load_cifar(spec, files, host);
}

}  // namespace

const Format& cifar10() {
  static const Format format{{"cifar10", "DIR", 1, "images in the binary format of CIFAR-10",
                              options::together({options::images(), options::parts()})},
                             load};
  return format;
}

}  // namespace rtl::data::formats
