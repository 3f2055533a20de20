// From the tensors of another program's file to those of a model of ours: names by the tables, layouts as views of the
// source, everything checked before anything is read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/io/raw_safetensors.h"
#include "weights_tools/foreign_file.h"
#include "weights_tools/name_table.h"

namespace tessera {

// One of our tensors as a view of theirs, in our layout. Without a source every element is `value`.
struct MappedTensor {
  std::string name;
  const ForeignTensor* source = nullptr;
  std::vector<int64_t> shape, stride;  // stride in elements of the source
  std::vector<int64_t> rows;           // of the source's first dimension; empty: all in order
  float value = 0;

  std::string dtype() const { return source != nullptr ? source->dtype : "F32"; }
  // The shape it is written with: the columns behind a flattened map are one dimension again.
  std::vector<int64_t> written_shape() const;
};

struct MappedModel {
  const SourceModel* model = nullptr;
  std::vector<MappedTensor> tensors;
  std::vector<std::string> ignored;           // names of the source that are not wanted
  std::vector<const ForeignTensor*> unknown;  // that no rule knows
  std::string backbone;                       // what it is, for people: "r50"; empty: none
  std::string config;                         // JSON: keys model.* and input.*
  int64_t classes = 0;                        // 0: the file has no class scores
  bool coco = false;                          // the classes are the 80 of COCO
};

// What somebody typed, for errors that say what to type instead.
struct ConvertCommand {
  std::string output = "OUT";
  std::string flags;      // " --key KEY": how the file is read
  std::string overrides;  // " key=value" of each

  std::string from(const ForeignFile& file, const std::string& source) const;
  std::string raw(const ForeignFile& file) const;
  std::string init(const ForeignFile& file) const;
};

// Finds out which model the file holds and renames its tensors. from: "auto" or a source of the tables. Throws
// Error(weights): no model of that source (and which it looks like), forms that are not supported. What no rule knows
// is left to check_fit (fit_check.h), whose table has all that is wrong.
MappedModel map_names(const ForeignFile& file, const NameTables& tables, const std::string& from,
                      const ConvertCommand& again = {});

bool is_weight_dtype(const std::string& dtype);

// The tensors read and ready to be written; F64 becomes F32, other dtypes stay.
struct ConvertedTensors {
  std::vector<RawSafetensorsSource> sources;
  std::vector<std::unique_ptr<std::byte[]>> memory;
  uint64_t bytes = 0;
  int64_t not_finite = 0;  // NaN or infinite elements of F32 tensors
  std::string first_not_finite;
};
ConvertedTensors read_mapped(ForeignFile& file, const MappedModel& mapped, const ConvertCommand& again = {});
// Every tensor under its own name, in its own layout and dtype.
ConvertedTensors read_raw(ForeignFile& file);

}  // namespace tessera
