// Residual and plain networks of few channels, which train on small images within seconds.
#pragma once

namespace rtl::studies {

/// Registers, once, two architectures for images whose height and width are multiples of four, with batch norms behind
/// all convolutions and global average pooling to 4 W features:
/// * thin_resnet:W[-TOWERS], the CIFAR ResNet of eight layers with W, 2 W and 4 W channels; several towers stand side
///   by side, each with weights of its own, under one head that sees the features of all;
/// * thin_vgg:W, three pairs of 3x3 convolutions with as many channels, the first two pairs with max pooling behind
///   them.
void register_thin_networks();

}  // namespace rtl::studies
