// Detections of other programs.
#include "data/annotations/coco_results.h"
#include "tests/fuzz/memory_file.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) {
  const MemoryFile memory(bytes);
  return accepts(ExitCode::data, [&] {
    const CocoResults results = read_results(memory.path());
    for (const CocoResult& result : results.entries()) {
      if (result.has_mask()) rle_validate(results.mask(result));
    }
  });
}

std::vector<std::string> seeds() {
  return {
      R"([{"image_id":1,"category_id":2,"score":0.5,"bbox":[1,2,3,4]}])",
      R"([{"image_id":1,"category_id":2,"score":1e-3,"segmentation":{"size":[12,10],"counts":"d0n0V2"}},)"
      R"({"image_id":3,"category_id":2,"score":1,"bbox":[0,0,1,1],"segmentation":{"size":[2,2],"counts":[1,2,1]}}])",
      "[]"};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(CocoResults, tessera::fuzz::parse, tessera::fuzz::seeds)
