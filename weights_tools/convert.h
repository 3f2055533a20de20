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
};

struct MappedModel {
  const SourceModel* model = nullptr;
  std::vector<MappedTensor> tensors;
  std::vector<std::string> ignored;  // names of the source that are not wanted
  std::string config;                // JSON: keys model.* and input.*
  int64_t classes = 0;               // 0: the file has no class scores
  bool coco = false;                 // the classes are the 80 of COCO
};

// Finds out which model the file holds and renames its tensors. from: "auto" or a source of the tables. Throws
// Error(weights): no model of that source (and which it looks like), tensors that no rule knows (a table), forms that
// are not supported.
MappedModel map_names(const ForeignFile& file, const NameTables& tables, const std::string& from);

// What a model of ours wants.
struct TargetTensor {
  std::string name;
  std::vector<int64_t> shape;
};

// Throws Error(weights) with a table unless every target is there with its shape and nothing else is. partial: only
// those that are there must have the right shape, others are kept.
void check_fit(const ForeignFile& file, const MappedModel& mapped, const std::vector<TargetTensor>& targets,
               bool partial);

// The tensors read and ready to be written; F64 becomes F32, other dtypes stay.
struct ConvertedTensors {
  std::vector<RawSafetensorsSource> sources;
  std::vector<std::unique_ptr<std::byte[]>> memory;
  uint64_t bytes = 0;
  int64_t not_finite = 0;  // NaN or infinite elements of F32 tensors
  std::string first_not_finite;
};
ConvertedTensors read_mapped(ForeignFile& file, const MappedModel& mapped);
// Every tensor under its own name, in its own layout and dtype.
ConvertedTensors read_raw(ForeignFile& file);

}  // namespace tessera
