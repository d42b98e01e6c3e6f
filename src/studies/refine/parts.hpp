// The parts of `rtl reproduce refine`.
#pragma once

#include "studies/refine/trials.hpp"

namespace rtl::studies::refine {

/// Other data sets: images, digits and reviews.
void shift(Reproduction& result, const RunOptions& options, const Runs& runs);
/// Flipped labels in the source's training, 0 to 80 %.
void noise(Reproduction& result, const RunOptions& options, const Runs& runs);
/// The same with the paper's own source, trained once.
void big_source(Reproduction& result, const RunOptions& options, const Runs& runs);
/// Pairs of classes that are taken for each other there, and noise on the images.
void confusion(Reproduction& result, const RunOptions& options, const Runs& runs);
/// Classes with few images there.
void imbalance(Reproduction& result, const RunOptions& options, const Runs& runs);
/// Sizes of h, with a good source and a useless one.
void encoder(Reproduction& result, const RunOptions& options, const Runs& runs);
/// Depths of the head on h and the frozen features.
void head(Reproduction& result, const RunOptions& options, const Runs& runs);
/// One to eight sources, clean and confused.
void sources(Reproduction& result, const RunOptions& options, const Runs& runs);
/// The rates of the theory, by joint least squares over sieves.
void rate(Reproduction& result, const RunOptions& options, const Runs& runs);
/// Cells: a source that has seen expression, an encoder of places.
void multimodal(Reproduction& result, const RunOptions& options, const Runs& runs);

/// How often an image is there where labels are to be drawn anew whenever it is looked at.
inline constexpr int confusion_copies = 10;

}  // namespace rtl::studies::refine
