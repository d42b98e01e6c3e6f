// Columns of data sets by SPEC: categories, what is missing, steps, and data that is prepared as for a model.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "data/make_files.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/data/csv.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/preprocessing.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::TemporaryFolder;
using Names = std::vector<std::string>;
using Values = std::vector<float>;

const Device& host() {
  static const Device device = Device::cpu(1);
  return device;
}

bool noted(const Names& notes, const std::string& text) {
  return std::any_of(notes.begin(), notes.end(),
                     [&](const std::string& note) { return note.find(text) != std::string::npos; });
}

std::string fault_of(const std::string& spec, const FittedInputs& fitted = {}) {
  try {
    load(spec, host(), fitted);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

const char* const trees =
    "height,soil,age,kind\n1,clay,10,fir\n,sand,20,oak\n3,?,30,fir\n4,clay,NA,oak\n5,clay,50,fir\n6,peat,60,oak\n";

TEST(Columns, NumbersThatFloat32RoundsAreNoted) {
  const TemporaryFolder folder;
  std::string table = "ts,b,year,kind\n";
  std::vector<double> times, years;
  for (int i = 0; i < 100; ++i) {
    times.push_back(1700000000.0 + i);
    years.push_back(2000 + i % 20);
    table += fmt::format("{},{},{},{}\n", times.back(), 0.1 * i, years.back(), i < 50 ? "a" : "b");
  }
  const std::string file = "csv:" + folder.write("t.csv", table) + "?label=kind&split=train&test_fraction=0";
  EXPECT_TRUE(noted(load(file, host()).notes, "float32 rounds the numbers of column 'ts' by more than")) << file;
  const TrainTest scaled = load(file + "&prepare=standardize", host());
  EXPECT_FALSE(noted(scaled.notes, "float32"));
  const Values values = scaled.train.inputs.to_vector<float>();
  for (int i = 0; i < 100; ++i) EXPECT_NEAR(values[static_cast<std::size_t>(3 * i)], (i - 49.5) / 28.866070, 1e-5);
  EXPECT_FALSE(noted(load(file + "&columns=b,year", host()).notes, "float32"));
  const std::string array = "npy:" + folder.write("x.npy", test::npy(times, {100, 1}));
  EXPECT_TRUE(noted(load(array, host()).notes, "float32 rounds the numbers of feature 0 by")) << array;
  EXPECT_FALSE(noted(load(array + "?prepare=standardize", host()).notes, "float32"));
  EXPECT_FALSE(noted(load("npy:" + folder.write("y.npy", test::npy(years, {100, 1})), host()).notes, "float32"));
}

TEST(Columns, TextsAreCategoriesAndGapsAreFilled) {
  const TemporaryFolder folder;
  const std::string file = folder.write("trees.csv", trees);
  const TrainTest parts = load("csv:" + file + "?label=kind&missing=impute&split=train&test_fraction=0", host());
  EXPECT_EQ(parts.columns, (Names{"height", "soil=clay", "soil=missing", "soil=peat", "soil=sand", "age"}));
  EXPECT_EQ(parts.train.inputs.to_vector<float>(), (Values{1, 1, 0, 0, 0, 10,  //
                                                           4, 0, 0, 0, 1, 20,  //
                                                           3, 0, 1, 0, 0, 30,  //
                                                           4, 1, 0, 0, 0, 30,  //
                                                           5, 1, 0, 0, 0, 50,  //
                                                           6, 0, 0, 1, 0, 60}));
  EXPECT_TRUE(noted(parts.notes, "trees.csv: impute by the median: 1 height of 4; 1 soil of 'missing'; 1 age of 30"));
  EXPECT_TRUE(noted(parts.notes, "trees.csv: one-hot of categories: soil (4)"));
  ASSERT_TRUE(parts.train.fitted.columns);
  EXPECT_EQ(parts.train.fitted.columns->input_names(), (Names{"height", "soil", "age"}));
  EXPECT_NE(fault_of("csv:" + file + "?label=kind").find("missing=impute to fill such gaps"), std::string::npos);
  EXPECT_NE(
      fault_of("csv:" + file + "?label=kind&missing=impute&levels=3&split=train&test_fraction=0").find("levels=4"),
      std::string::npos);
}

TEST(Columns, NumbersCanNameCategories) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.csv", "code,x,y\n3,1,a\n10,2,b\n3,3,a\n10,4,b\n");
  const TrainTest parts = load("csv:" + file + "?label=y&categories=code&split=train&test_fraction=0", host());
  EXPECT_EQ(parts.columns, (Names{"code=10", "code=3", "x"}));
  EXPECT_NE(fault_of("csv:" + file + "?label=y&categories=y").find("label column 'y'"), std::string::npos);
  EXPECT_NE(fault_of("csv:" + file + "?label=y&categories=code&drop=code").find("none of the columns to keep"),
            std::string::npos);
}

TEST(Columns, NumbersWrittenOtherwiseAreNoCategories) {
  const TemporaryFolder folder;
  const std::string comma = folder.write("c.csv", "a;kind\n1,5;fir\n2,5;oak\n3,5;fir\n4,5;oak\n");
  EXPECT_NE(fault_of("csv:" + comma + "?label=kind").find("decimal=comma"), std::string::npos);
  const std::string mixed = folder.write("m.csv", "a,b,kind\n1,2,fir\nfew,3,oak\n3,4,fir\n");
  const std::string fault = fault_of("csv:" + mixed + "?label=kind");
  EXPECT_NE(fault.find("line 3, column 'a' (number 1): 'few' is no number"), std::string::npos) << fault;
  EXPECT_NE(fault.find("categories="), std::string::npos) << fault;
  EXPECT_THROW(read_csv(folder.write("t.csv", trees), {.label = "kind"}), FormatError) << "who reads numbers gets them";
}

TEST(Columns, TheTestPartIsPreparedByTheTrainingPart) {
  const TemporaryFolder folder;
  const std::string train = folder.write("a.csv", "x,s,y\n1,u,p\n,v,q\n5,u,p\n9,v,q\n");
  const std::string test = folder.write("b.csv", "x,s,y\n1000,w,p\n,u,q\n2000,u,p\n");
  const TrainTest parts = load("csv:" + train + "?label=y&missing=impute&prepare=standardize&test=" + test, host());
  EXPECT_EQ(parts.columns, (Names{"x", "s=u", "s=v"}));
  const Values values = parts.test.inputs.to_vector<float>();
  const double deviation = std::sqrt((16 + 0 + 0 + 16) / 4.0);  // of 1, 5, 5, 9: the median is 5
  EXPECT_FLOAT_EQ(values[0], static_cast<float>(995 / deviation));
  EXPECT_FLOAT_EQ(values[3], 0);
  EXPECT_EQ(values[1], -1) << "an unknown category: 0, standardised";
  EXPECT_TRUE(noted(parts.notes, "1 of 3 rows have categories of 's' that no training row had, such as 'w'"));
  const std::string numeric = folder.write("c.csv", "x,s,y\n1,3,p\n2,4,q\n");
  EXPECT_EQ(load("csv:" + train + "?label=y&missing=impute&test=" + numeric, host()).columns, parts.columns);
}

TEST(Columns, LimitsAndSharesAreCutBeforeAnythingIsFitted) {
  const TemporaryFolder folder;
  std::string text = "x,y\n";
  RandomSequence random(test::seed(), 3);
  for (int i = 0; i < 60; ++i)
    text += fmt::format("{},{}\n", i < 30 ? random.uniform() : 100 + i, i % 2 == 0 ? "a" : "b");
  const std::string file = folder.write("t.csv", text);
  const TrainTest parts = load("csv:" + file + "?label=y&prepare=standardize&limit=20", host());
  const Values values = parts.train.inputs.to_vector<float>();
  double sum = 0, squares = 0;
  for (const float value : values) sum += value, squares += static_cast<double>(value) * value;
  EXPECT_EQ(values.size(), 20u);
  EXPECT_NEAR(sum / 20, 0, 1e-6);
  EXPECT_NEAR(squares / 20, 1, 1e-5);
  EXPECT_EQ(load("csv:" + file + "?label=y&prepare=standardize&test_fraction=0", host()).test.size(), 0);
}

TEST(Columns, AModelsColumnsAreFoundInOtherTables) {
  const TemporaryFolder folder;
  const std::string train = folder.write("a.csv", "x,s,z,y\n1,u,7,p\n,v,8,q\n5,u,9,p\n9,v,9,q\n");
  const TrainTest first = load("csv:" + train + "?label=y&missing=impute&split=train&test_fraction=0", host());
  const Preprocessing& fitted = *first.train.fitted.columns;
  const std::string other = folder.write("b.csv", "s,more,z,y,x\nu,text,7,p,1\nv,,8,q,\nu,,9,p,5\nv,,9,q,9\n");
  const TrainTest same = load("csv:" + other + "?label=y&split=train&test_fraction=0", host(),
                              {.columns = std::make_shared<const Preprocessing>(fitted)});
  EXPECT_EQ(same.train.inputs.to_vector<float>(), first.train.inputs.to_vector<float>());
  EXPECT_EQ(same.columns, first.columns);
  const TrainTest bare =
      load("csv:" + other + "?label=", host(), {.columns = std::make_shared<const Preprocessing>(fitted)});
  EXPECT_EQ(bare.test.inputs.to_vector<float>(), first.train.inputs.to_vector<float>());
  const std::string lacks = folder.write("c.csv", "x,s\n1,u\n2,v\n");
  EXPECT_NE(fault_of("csv:" + lacks + "?label=", {.columns = std::make_shared<const Preprocessing>(fitted)})
                .find("lacks a column that the model's inputs are made of: z"),
            std::string::npos);
  const std::string renamed = folder.write("d.csv", "x1,s1,z1\n1,u,7\n,v,8\n5,u,9\n9,v,9\n");
  const TrainTest ordered =
      load("csv:" + renamed + "?label=", host(), {.columns = std::make_shared<const Preprocessing>(fitted)});
  EXPECT_EQ(ordered.train.inputs.to_vector<float>(), first.train.inputs.to_vector<float>());
  EXPECT_TRUE(noted(ordered.notes, "were taken for x, s, z in their order"));
}

TEST(Columns, ArraysAndSparseTextArePrepared) {
  const TemporaryFolder folder;
  const float none = std::nanf("");
  const std::string x = folder.write("x.npy", test::npy(Values{1, 4, none, 8, 3, 12, 5, 0}, {4, 2}));
  const std::string y = folder.write("y.npy", test::npy(std::vector<std::int32_t>{0, 1, 0, 1}, {4}));
  const std::string spec = "npy:" + x + "," + y + "?split=train&test_fraction=0";
  EXPECT_NE(fault_of(spec).find("remove or impute it"), std::string::npos);
  const TrainTest filled = load(spec + "&missing=impute", host());
  EXPECT_EQ(filled.train.inputs.to_vector<float>(), (Values{1, 4, 3, 8, 3, 12, 5, 0}));
  EXPECT_EQ(filled.train.labels.to_vector<std::int32_t>(), (std::vector<std::int32_t>{0, 1, 0, 1}));
  const TrainTest scaled = load(spec + "&missing=impute&prepare=rows:10,log1p", host());
  EXPECT_FLOAT_EQ(scaled.train.inputs.to_vector<float>()[0], std::log1p(2.0F));
  const TrainTest again = load(spec, host(), {.columns = scaled.train.fitted.columns});
  EXPECT_EQ(again.train.inputs.to_vector<float>(), scaled.train.inputs.to_vector<float>());
  const std::string lines = folder.write("t.svmlight", "0 1:3 2:1\n1 2:2\n0 1:1 2:1\n1 1:2\n");
  const TrainTest sparse = load("svmlight:" + lines + "?split=train&test_fraction=0&prepare=rows:1", host());
  EXPECT_EQ(sparse.train.inputs.to_vector<float>(), (Values{0.75, 0.25, 0, 1, 0.5, 0.5, 1, 0}));
  EXPECT_NE(fault_of("npy:" + x + "," + y + "?prepare=melt").find("there is no step 'melt'"), std::string::npos);
}

TEST(Columns, TablesOfInputsBesideLabelsElsewhere) {
  const TemporaryFolder folder;
  const std::string x = folder.write("x.csv", "s,a\nu,1\nv,2\nu,3\nv,4\n");
  const std::string y = folder.write("y.npy", test::npy(std::vector<std::int32_t>{0, 1, 0, 1}, {4}));
  const TrainTest parts = load("npy:" + x + "," + y + "?split=train&test_fraction=0", host());
  EXPECT_EQ(parts.columns, (Names{"s=u", "s=v", "a"}));
  EXPECT_EQ(parts.train.inputs.to_vector<float>(), (Values{1, 0, 1, 0, 1, 2, 1, 0, 3, 0, 1, 4}));
}

TEST(Columns, WeightsAreReadAndCutAlong) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.csv", "a,w,y\n1,2,p\n2,0,q\n3,0.5,p\n4,1,q\n");
  const TrainTest parts = load("csv:" + file + "?label=y&weights=w&split=train&test_fraction=0&offset=1", host());
  EXPECT_EQ(parts.columns, (Names{"a"}));
  EXPECT_EQ(parts.train.weights.to_vector<float>(), (Values{0, 0.5, 1}));
  EXPECT_EQ(parts.train.mean_one_weights(), (Values{0, 1, 2}));
  const std::string bad = folder.write("b.csv", "a,w,y\n1,-2,p\n2,0,q\n");
  EXPECT_NE(fault_of("csv:" + bad + "?label=y&weights=w").find("line 2: the weight (column 'w') is '-2'"),
            std::string::npos);
  EXPECT_NE(fault_of("csv:" + bad + "?label=w&weights=w").find("the label column 'w' is the weights too"),
            std::string::npos);
}

TEST(Columns, LabelsOfATestFileMayEndInADot) {
  const TemporaryFolder folder;
  const std::string train = folder.write("a.data", "1, <=50K\n2, >50K\n3, <=50K\n4, >50K\n");
  const std::string test = folder.write("a.test", "1, <=50K.\n2, >50K.\n");
  const TrainTest parts = load("csv:" + train + "?label=2&test=" + test, host());
  EXPECT_EQ(parts.test.labels.to_vector<std::int32_t>(), (std::vector<std::int32_t>{0, 1}));
  EXPECT_TRUE(noted(parts.notes, "2 labels end in a dot, which was left out"));
}

TEST(Columns, ClassesOfOneSampleEachLeaveNoTestPart) {
  const TemporaryFolder folder;
  const std::string file = folder.write("codes.csv", "a,code\n1,1e3\n3,1000\n5,007\n7,7\n");
  const TrainTest parts = load("csv:" + file + "?label=code", host());
  EXPECT_EQ(parts.train.classes, 4);
  EXPECT_EQ(parts.train.size(), 4);
  EXPECT_EQ(parts.test.size(), 0);
  EXPECT_NE(fault_of("csv:" + file + "?label=code&test_fraction=0.2").find("leaves the test part empty"),
            std::string::npos);
}

TEST(Columns, NumbersAboveAnotherAreAClass) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.csv", "a,num\n1,0\n2,3\n3,0\n4,1\n");
  const TrainTest parts = load("csv:" + file + "?label=num&above=0&split=train&test_fraction=0", host());
  EXPECT_EQ(parts.train.class_names, (Names{"<=0", ">0"}));
  EXPECT_EQ(parts.train.labels.to_vector<std::int32_t>(), (std::vector<std::int32_t>{0, 1, 0, 1}));
  const std::string text = folder.write("u.csv", "a,num\n1,few\n2,3\n");
  EXPECT_NE(fault_of("csv:" + text + "?label=num&above=0").find("line 2: the label (column 'num') is 'few'"),
            std::string::npos);
  EXPECT_NE(fault_of("csv:" + file + "?label=num&above=0&target=real").find("above= makes classes"), std::string::npos);
}

TEST(Columns, ARowWithoutLabelIsLeftOutWhereGapsAreFilled) {
  const TemporaryFolder folder;
  const std::string file =
      folder.write("t.csv", "a,b,kind\n1,2,ash\n3,,elm\n5,6,\n7,8,elm\n9,1,ash\n2,2,elm\n3,3,ash\n");
  const TrainTest parts = load("csv:" + file + "?label=kind&missing=impute&split=train&test_fraction=0", host());
  EXPECT_EQ(parts.train.size(), 6);
  EXPECT_TRUE(noted(parts.notes, "1 of 7 rows was left out: line 4, kind is empty"));
}

TEST(Columns, ManyNumbersAsClassesAreTold) {
  const TemporaryFolder folder;
  std::string text = "x,value\n";
  for (int i = 0; i < 600; ++i) text += fmt::format("{},{}\n", i, 1000 + i % 150);
  const TrainTest parts = load("csv:" + folder.write("t.csv", text) + "?label=value", host());
  EXPECT_TRUE(noted(parts.notes, "150 classes that are all numbers")) << parts.notes.size();
}

/// Six cells on a line, two genes.
void write_cells(const TemporaryFolder& folder) {
  folder.write("counts.npy", test::npy(std::vector<std::int32_t>{1, 1, 3, 1, 0, 4, 2, 2, 6, 2, 5, 5}, {6, 2}));
  folder.write("genes.txt", "Gad1\nPvalb\n");
  folder.write("xy.npy", test::npy(Values{0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0}, {6, 2}));
  folder.write("celltype.npy", test::npy(std::vector<std::uint8_t>{0, 1, 0, 1, 0, 1}, {6}));
  folder.write("celltype_names.txt", "glia\nneuron\nrare\n");
}

TEST(Cells, CountsBecomeLogarithmsOfSharesAndLabelsNames) {
  const TemporaryFolder folder;
  write_cells(folder);
  const std::string spec = "cells:" + folder.path() + "?split=train&test_fraction=0";
  const TrainTest parts = load(spec, host());
  EXPECT_EQ(parts.columns, (Names{"Gad1", "Pvalb"}));
  EXPECT_EQ(parts.train.class_names, (Names{"glia", "neuron", "rare"}));
  const Values values = parts.train.inputs.to_vector<float>();
  EXPECT_FLOAT_EQ(values[0], std::log1p(2.0F)) << "1 of 2, where the median sum is 4";
  EXPECT_FLOAT_EQ(values[2], std::log1p(3.0F));
  const TrainTest both = load(spec + "&inputs=both&prepare=log1p", host());
  EXPECT_EQ(both.columns, (Names{"Gad1", "Pvalb", "x", "y"}));
  const Values mixed = both.train.inputs.to_vector<float>();
  EXPECT_EQ(Values(mixed.begin() + 4, mixed.begin() + 8), (Values{std::log1p(3.0F), std::log1p(1.0F), 1, 0}));
  EXPECT_EQ(load(spec + "&inputs=coordinates", host()).columns, (Names{"x", "y"}));
  EXPECT_EQ(load(spec + "&label=", host()).train.has_labels(), false);
}

TEST(Cells, NeighboursMeansAreAdded) {
  const TemporaryFolder folder;
  write_cells(folder);
  const TrainTest parts =
      load("cells:" + folder.path() + "?split=train&test_fraction=0&prepare=log1p&neighbours=2&hops=2", host());
  EXPECT_EQ(parts.columns, (Names{"Gad1", "Pvalb", "Gad1 of neighbours", "Pvalb of neighbours",
                                  "Gad1 of neighbours, 2 hops", "Pvalb of neighbours, 2 hops"}));
  const Values values = parts.train.inputs.to_vector<float>();
  const auto gad = [](int count) { return std::log1p(static_cast<double>(count)); };
  EXPECT_NEAR(values[6 + 2], (gad(1) + gad(0)) / 2, 1e-6) << "cell 1 lies between cells 0 and 2";
  const double first = (gad(3) + gad(0)) / 2, third = (gad(0) + gad(6)) / 2, second = (gad(3) + gad(2)) / 2;
  EXPECT_NEAR(values[2], first, 1e-6) << "cell 0 has cells 1 and 2";
  EXPECT_NEAR(values[2 * 6 + 4], ((gad(1) + gad(0)) / 2 + third) / 2, 1e-6);
  EXPECT_NEAR(values[2 * 6 + 2], second, 1e-6);
  EXPECT_NE(fault_of("cells:" + folder.path() + "?neighbours=6").find("too few for 6 neighbours"), std::string::npos);
}

TEST(Cells, WhatIsMissingIsTold) {
  const TemporaryFolder folder;
  EXPECT_NE(fault_of("cells:" + folder.path()).find("counts.npy"), std::string::npos);
  folder.write("counts.npy", test::npy(std::vector<std::int32_t>{1, 1, 3, 1, 0, 4}, {3, 2}));
  EXPECT_NE(fault_of("cells:" + folder.path() + "?inputs=both").find("has no xy.npy"), std::string::npos);
  EXPECT_NE(fault_of("cells:" + folder.path() + "?label=kind").find("kind.npy"), std::string::npos);
  folder.write("genes.txt", "one\n");
  EXPECT_NE(fault_of("cells:" + folder.path()).find("has 1 names for 2 genes"), std::string::npos);
}

}  // namespace
}  // namespace rtl::data
