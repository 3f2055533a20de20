// Config files against the declared keys, and the first line as an override of the command line. What is accepted says
// the same after writing and reading.
#include "apps/run_config.h"
#include "models/config_keys.h"
#include "tests/fuzz/target.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) {
  const std::string_view text = text_of(bytes);
  static const Config defaults(run_config_table());
  accepts(ExitCode::usage, [&] {
    Config config = defaults;
    config.merge_override(text.substr(0, text.find('\n')));
  });
  return accepts(ExitCode::usage, [&] {
    Config config = defaults;
    config.merge_json(text, "input");
    const std::string written = config.to_json();
    Config again = defaults;
    again.merge_json(written, "written");
    require(again.to_json() == written, "another config after writing and reading");
    accepts(ExitCode::usage, [&] { model_config_from(config); });
  });
}

std::vector<std::string> seeds() {
  return {
      "{\n  // a comment\n  \"model\": {\"classes\": 3, \"gridmask\": {\"k\": 1}},\n  \"train.steps\": [4000, 5400]}",
      R"({"train": {"learning_rate": 1e-3, "flip": 0.5, "short_side": [64]}, "seed": 7, "input.order": "bgr"})",
      R"({"model.system": "anchor_free_yolactr", "model.backbone": {"preset": "r50"}, "data.train.images": "a\u0041"})"};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(ConfigJson, tessera::fuzz::parse, tessera::fuzz::seeds)
