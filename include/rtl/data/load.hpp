// Loading data sets by SPEC: KIND:PATH?option=value&option=value.
#pragma once

#include <string>

#include "rtl/data/dataset.hpp"
#include "rtl/data/spec.hpp"

namespace rtl::data {

/// Loads train and test parts onto `device`. PATH is relative to the working directory. spec_kinds() has every kind and
/// option; the rest is said here.
///
/// | SPEC | what becomes of it |
/// |---|---|
/// | idx:DIR | names with train and images or labels, and t10k or test; u8 images [N, H, W, C] |
/// | cifar10:DIR | data_batch_1..5.bin, test_batch.bin, or *_train_*.bin, *_test_*.bin; u8 images [N, 32, 32, 3] |
/// | cifar100:DIR | train.bin, test.bin, or *_train_*.bin, *_test_*.bin; u8 images [N, 32, 32, 3] |
/// | npy:X.npy,Y.npy | f32 or f64 vectors [N, p] or u8 images [N, H, W(, C)]; integer labels [N] |
/// | csv:FILE | the numeric columns of a table (csv.hpp) as f32 vectors [N, p]; classes from one column |
/// | svmlight:FILE | sparse text (svmlight.hpp) as dense f32 vectors [N, p]; its targets are the classes |
/// | glyphs: | nothing is read: made by make_glyphs (glyphs.hpp) |
///
/// Files may be plain or .gz. Class names come from classes.txt, batches.meta.txt, fine_classes.txt,
/// fine_label_names.txt, coarse_classes.txt or coarse_label_names.txt, where present. idx and npy labels must be 0 ..
/// K-1 with each occurring, unless classes=N says how many there are.
///
/// A data set has classes, so for regression call read_csv and read_svmlight. Without classes= a test file's classes
/// are those of the training file, which also fixes columns, header and features; with split=test they are the test
/// file's own.
///
/// npy, csv, svmlight: the test part is test=FILE (npy: test=Xt.npy,Yt.npy); otherwise test_fraction=F (default 0.2) of
/// every class, chosen by seed=N (default 0; stratified_split), both parts in file order. test_fraction=0 leaves the
/// test part empty; with split=train both parts are all rows.
///
/// limit=N (at most so many samples) and offset=N (after so many) act on the training part. With split=train|test both
/// parts are that one, limit and offset act on it, and the other part's files are not read.
///
/// Throws IoError for a missing or unreadable file, FormatError for a damaged one, both naming it; ValueError for a bad
/// SPEC, listing what there is, before any file is read.
TrainTest load(const std::string& spec, const Device& device);

}  // namespace rtl::data
