// The pickle machine alone, and the search for tensors in what it makes: the part of every foreign checkpoint that is a
// program.
#include "tests/fuzz/target.h"
#include "tests/weights_tools/file_builders.h"
#include "weights_tools/pickle_machine.h"
#include "weights_tools/state_dict.h"

namespace tessera::fuzz {
namespace {

using testing_support::PickleBuilder;

bool parse(Bytes bytes) {
  return accepts(ExitCode::weights, [&] {
    PickleContent content;
    const PickleResult result = read_pickle(text_of(bytes), content, "input");
    require(result.length <= bytes.size() && result.root != nullptr, "a pickle longer than its bytes");
    accepts(ExitCode::weights, [&] {
      const StateDict found = find_state_dict(content, *result.root, "", "input", bytes.size());
      for (const ForeignTensor& tensor : found.tensors)
        require(tensor.elements() >= 0, "a negative number of elements");
    });
  });
}

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const int protocol : {2, 4}) {
    all.push_back(PickleBuilder(protocol)
                      .raw("}")
                      .text("model")
                      .raw("}(")
                      .text("w")
                      .tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1})
                      .text("epoch")
                      .integer(int64_t{1} << 40)
                      .raw("us")
                      .stop());
    all.push_back(testing_support::numpy_pickle(protocol));
  }
  // Numbers, constants, and a text that is kept and fetched.
  all.push_back(PickleBuilder()
                    .raw("](K\x01M\x02\x01G?\xf8")
                    .raw(std::string(6, '\0'))
                    .raw("\x88\x89N")
                    .text("kept")
                    .raw("q\x01h\x01")
                    .raw("e")
                    .stop());
  return all;
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(Pickle, tessera::fuzz::parse, tessera::fuzz::seeds)
