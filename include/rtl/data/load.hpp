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
/// | cells:DIR | single cells: log-normalised counts, coordinates, means over neighbours as f32 vectors; labels |
/// | cifar10:DIR | data_batch_1..5.bin, test_batch.bin, or *_train_*.bin, *_test_*.bin; u8 images [N, 32, 32, 3] |
/// | cifar100:DIR | train.bin, test.bin, or *_train_*.bin, *_test_*.bin; u8 images [N, 32, 32, 3] |
/// | hdf5:FILE | arrays of an HDF5 file, AnnData's included: as npy, or sparse matrices; labels |
/// | npy:X.npy,Y.npy | numbers [N, p] as f32 vectors, or [N, H, W], [N, H, W, C] or [N, C, H, W] as u8 images; labels |
/// | csv:FILE | the columns of a table (csv.hpp) as f32 vectors [N, p]; labels from one column |
/// | fixed:FILE | the same of a table whose columns stand at fixed places of each line (CsvOptions::fields) |
/// | svmlight:FILE | sparse text (svmlight.hpp) as f32 vectors [N, p]; its targets are the labels |
/// | images:DIR | PNG and JPEG files (images.hpp, rtl/io/image.hpp) of one size, u8 images [N, H, W, C] |
/// | text:FILE[,LABELS] | texts (text_encoder.hpp) as i32 tokens [N, T] or f32 vectors [N, p], and their labels |
/// | glyphs: | nothing is read: made by make_glyphs (glyphs.hpp) |
///
/// Files but HDF5 may be .gz. Class names: classes.txt, batches.meta.txt, (fine|coarse)_classes.txt or
/// _label_names.txt. What is said of csv holds of fixed. idx labels must be 0 .. K-1 with each occurring, unless
/// classes=N says how many there are.
///
/// npy: inputs are numbers of any type. Images are whole numbers from 0 to 255, or k / 255 in floating point; of four
/// axes the channels are the second or the last, whichever is 1, 3 or 4, and if both or none are, layout=nhwc|nchw must
/// say it. Labels are numbers or text, [N] or [N, 1], or rows [N, K] with a single one; each different value is a
/// class, whole numbers ascending, and classes=N makes the classes 0 .. N-1. Either file may be a table (csv:FILE, or
/// FILE.csv): of the inputs, `columns` and `drop` choose the columns; of the labels, `label`; header, delimiter,
/// decimal, na and missing hold for both, and a row that is left out of one file is left out of both. Either may be a
/// .npz, of which x= and y= name the arrays, and one .npz may hold both: then arrays called x_test and y_test are the
/// test part, unless test=, test_fraction= or seed= asks for another.
///
/// npy, csv, svmlight: labels are classes, or with target=real real targets (Dataset::targets): numbers [N] or
/// [N, outputs], the columns of label=A,B, the numbers of svmlight. Without target= whole numbers are classes, and
/// labels that are all numbers, one of them with a fraction, are refused unless labels=text or classes= say that they
/// are classes; with target=class any labels are classes. Without labels are npy:X.npy, npy:FILE.npz?y= and
/// csv:FILE?label=. Without classes= a test file's classes are those of the training file, which also fixes columns,
/// header and features; with split=test they are the test file's own.
///
/// text: UTF-8, a sample a line, lines parted by LF alone; its label is the first or the last field, after a tab or a
/// blank. With two files the lines of the second are the labels of those of the first, or it is a .npy of labels. A
/// table has a head line and quoted fields (RFC 4180). The vocabulary, the weights of TF-IDF and the length of
/// sequences are those of the training part, and Dataset::fitted.text has them.
///
/// npy, csv, svmlight, text: the test part is test=FILE (npy: test=Xt.npy,Yt.npy); otherwise test_fraction=F (default
/// 0.2) of every class (stratified_split), or without classes of all rows (random_split), chosen by seed=N (default 0),
/// both parts in file order. test_fraction=0 leaves the test part empty; with split=train both parts are all rows.
/// Without labels, and test_fraction and seed, both parts are all rows.
///
/// images: a class is a folder of DIR, or of DIR/train and DIR/test (or val, validation), by the order of their names;
/// where one picture has colours, grey ones get them too. Without such folders the test part is as for npy. idx,
/// cifar10, cifar100, npy, images and glyphs: resize=N, crop=N and color=rgb|grey bring images into another form
/// (images.hpp).
///
/// On a host inputs of more than in_memory_limit() lie in files (rtl/core/file_memory.hpp): those of npy and idx where
/// they are, unless they are compressed, in a .npz or column-major, or have to be converted; parts that are drawn, and
/// what is converted, in scratch files, which throw IoError where the disk is full.
///
/// limit=N (at most so many samples) and offset=N (after so many) act on the training part. With split=train|test both
/// parts are that one, limit and offset act on it, and the other part's files are not read.
///
/// Throws IoError for a missing or unreadable file, FormatError for a damaged one, both naming it; ValueError for a bad
/// SPEC, listing what there is, before any file is read.
///
/// csv, npy, svmlight: the columns are prepared by steps (preprocessing.hpp) that are fitted to the training part
/// alone: with missing=impute what is missing is filled (impute=, indicators=); columns of texts (csv: those of
/// `categories`, and those without a number) become columns of 0 and 1, one a category; then come the steps of
/// prepare=. What was done is Dataset::fitted.columns, and is told in `notes`. With `fitted`, which is that of a model,
/// these options are not looked at: the columns that it names are taken out of the table, by their names, or where the
/// table lacks some and has as many by their order, and prepared by it.
///
/// svmlight, hdf5 with one sparse matrix, text with bag and tfidf: the vectors are sparse rows (Dataset::sparse) with
/// sparse=yes, and without sparse=no where stays_sparse says so. The steps of prepare= need them dense, and make them
/// so.
///
/// Images: what was done is Dataset::fitted.images. With `fitted` images are resized, cropped and get the channels as
/// those of the model's training data, where the SPEC has no resize and crop, or no color, of its own; `notes` tell.
///
/// text: with `fitted` the encoder of a model is used in place of a new one, whatever the SPEC says of the encoding,
/// which `notes` tell.
TrainTest load(const std::string& spec, const Device& device, const FittedInputs& fitted = {});

}  // namespace rtl::data
