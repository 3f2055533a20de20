// Annotations: read as training and as the tools read them, then every polygon and mask.
#include "data/annotations/coco_json.h"
#include "tests/fuzz/memory_file.h"

namespace tessera::fuzz {
namespace {

void read(const std::filesystem::path& file, const CocoReadOptions& options) {
  const CocoDataset dataset = read_coco(file, options);
  for (const CocoAnnotation& annotation : dataset.annotations()) {
    if (annotation.kind == SegmentationKind::polygons) dataset.polygons(annotation);
    const CocoImage& image = dataset.images().at(static_cast<size_t>(annotation.image));
    dataset.categories().at(static_cast<size_t>(annotation.category));
    // Larger ones take the time of their contour: nothing new.
    if (int64_t{image.height} * image.width > 1 << 16) continue;
    const Rle mask = dataset.mask(annotation);
    if (annotation.kind != SegmentationKind::none) rle_validate(mask);
  }
  for (size_t i = 0; i < dataset.images().size(); ++i) dataset.annotations_of(static_cast<int>(i));
}

bool parse(Bytes bytes) {
  const MemoryFile memory(bytes);
  check_dataset(memory.path());
  accepts(ExitCode::data, [&] { read(memory.path(), {.need_masks = false, .need_file_names = false}); });
  return accepts(ExitCode::data, [&] { read(memory.path(), {}); });
}

std::vector<std::string> seeds() {
  const std::string head =
      R"({"images":[{"id":1,"file_name":"a.jpg","height":12,"width":10}],"categories":)"
      R"([{"id":3,"name":"\u00e9\ud83d\ude00"}],"annotations":[{"id":5,"image_id":1,"category_id":3,)";
  return {head + R"("bbox":[1,1.5,4,5e0],"area":20,"iscrowd":0,"segmentation":[[1,1,5.25,1,5,6],[2,2,3,9,8,9]]}]})",
          head + R"("segmentation":{"size":[12,10],"counts":[20,30,70]},"iscrowd":1,"bbox":[0,0,9,9],"area":30}]})",
          head + R"("segmentation":{"size":[12,10],"counts":"d0n0V2"},"bbox":[0,0,9,9],"area":30}],"info":{}})"};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(CocoJson, tessera::fuzz::parse, tessera::fuzz::seeds)
