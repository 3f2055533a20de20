// What a resume and a report read of a run: log.jsonl and TensorBoard's event file.
#include "apps/run_log.h"
#include "engine/io/event_file.h"
#include "tests/fuzz/target.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) {
  const RunLog log = parse_run_log(text_of(bytes));
  for (size_t i = 1; i < log.train.size(); ++i) {
    require(log.train[i - 1].iteration < log.train[i].iteration, "a curve that goes back");
  }
  read_event_head(text_of(bytes));
  const std::vector<std::string_view> events = event_records(text_of(bytes));
  std::string again;
  for (const std::string_view event : events) {
    read_event_head(event);
    again += event_record(event);
  }
  require(text_of(bytes).starts_with(again), "records that are not those of the file");
  return !log.train.empty() || !events.empty();
}

std::vector<std::string> seeds() {
  const std::vector<Scalar> scalars = {{"loss", 0.5}, {"losses/cls", 0.25}};
  return {R"({"type": "train", "iteration": 40, "loss": 3.2, "losses": {"cls": 0.8}, "seconds": null})"
          "\n"
          R"({"type": "eval", "iteration": 40, "segm": {"AP": 0.41}})"
          "\n",
          event_record(version_event(1)) + event_record(scalar_event(2, 40, scalars))};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(RunFolder, tessera::fuzz::parse, tessera::fuzz::seeds)
