// Loading data sets by SPEC: KIND:PATH?option=value&option=value.
#pragma once

#include <map>
#include <string>

#include "rtl/data/dataset.hpp"

namespace rtl::data {

/// A parsed SPEC.
struct Spec {
  std::string kind;
  std::string path;
  std::map<std::string, std::string> options;
  /// Throws ValueError, listing the kinds.
  static Spec parse(const std::string& text);
  /// KIND:PATH?option=value&.. with the options sorted by name.
  std::string to_string() const;
};

/// Loads train and test parts onto `device`. PATH is relative to the working directory.
///
/// | SPEC | what it reads | its own options |
/// |---|---|---|
/// | idx:DIR | names with train and images or labels, and t10k or test; u8 images [N, H, W(, C)] | classes=N |
/// | cifar10:DIR | data_batch_1..5.bin, test_batch.bin, or *_train_*.bin, *_test_*.bin | |
/// | cifar100:DIR | train.bin, test.bin, or *_train_*.bin, *_test_*.bin | labels=fine (default) or coarse |
/// | npy:X.npy,Y.npy | f32 or f64 vectors [N, p] or u8 images [N, H, W(, C)]; integer labels [N] | see below |
/// | csv:FILE | the numeric columns of a table (csv.hpp) as f32 vectors [N, p]; classes from one column | see below |
/// | svmlight:FILE | sparse text (svmlight.hpp) as dense f32 vectors [N, p]; its targets are the classes | see below |
/// | glyphs: | nothing: made by make_glyphs (glyphs.hpp) | see docs/glyphs.md |
///
/// Files may be plain or .gz. Class names come from classes.txt, batches.meta.txt, fine_classes.txt,
/// fine_label_names.txt, coarse_classes.txt or coarse_label_names.txt, where present. idx and npy labels must be 0 ..
/// K-1 with each occurring, unless classes=N says how many there are.
///
/// csv: label=COLUMN (required), drop=COLUMN,COLUMN (may hold text), classes=NAME,NAME (default: those that occur),
/// missing=error (default) or drop (rows with a missing value), header=detect|yes|no, delimiter=comma|semicolon|tab.
/// Columns are given by name or number. svmlight: features=N, first_index=1 (default) or 0, classes=NUMBER,NUMBER
/// (default: the targets that occur; these must be whole numbers). A data set has classes, so for regression call
/// read_csv and read_svmlight. Without classes= a test file's classes are those of the training file, which also fixes
/// columns and features; with split=test they are the test file's own.
///
/// npy, csv, svmlight: the test part is test=FILE (npy: test=Xt.npy,Yt.npy); otherwise test_fraction=F (default 0.2) of
/// every class, chosen by seed=N (default 0; stratified_split), both parts in file order. split=train&test_fraction=0
/// gives all rows.
///
/// Every kind takes limit=N (at most so many samples) and offset=N (after so many), which act on the training part, and
/// split=train|test: then both parts are that one, limit and offset act on it, and the other part's files are not read.
///
/// Throws IoError for a missing or unreadable file, FormatError for a damaged one, both naming it; ValueError for a bad
/// SPEC, listing what there is.
TrainTest load(const std::string& spec, const Device& device);

}  // namespace rtl::data
