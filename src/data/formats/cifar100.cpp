// CIFAR-100: a coarse and a fine label byte.
#include "data/cifar_records.hpp"
#include "data/format.hpp"
#include "data/format_options.hpp"

namespace rtl::data::formats {
namespace {

TrainTest load(const Spec& spec, const Device& host) {
  const bool coarse = spec.text("labels") == "coarse";
  const std::string which = coarse ? "coarse" : "fine";
  const CifarFiles files{2,
                         coarse ? 0 : 1,
                         coarse ? 20 : 100,
                         {"train.bin"},
                         {"test.bin"},
                         {which + "_classes.txt", which + "_label_names.txt"}};
  return load_cifar(spec, files, host);
}

SpecKind kind() {
  return {"cifar100", "DIR", 1, "images in the binary format of CIFAR-100",
          options::together(
              {{options::choice("labels", {"fine", "coarse"}, "the 100 classes or the 20; fine if not given")},
               options::images(),
               options::parts()})};
}

}  // namespace

const Format& cifar100() {
  static const Format format{kind(), load};
  return format;
}

}  // namespace rtl::data::formats
