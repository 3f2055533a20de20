#!/usr/bin/env bash
# The texts of the given JSON files as C++, so that the program needs nothing beside it.   embed_name_tables.sh FILE...
set -euo pipefail
cat <<'HEAD'
#include <array>

#include "weights_tools/name_table.h"

namespace tessera {

namespace {
constexpr std::string_view kTexts[] = {
HEAD
for file in "$@"; do
  printf 'R"json('
  cat "$file"
  printf ')json",\n'
done
cat <<'TAIL'
};
}  // namespace

std::span<const std::string_view> name_table_texts() { return kTexts; }

}  // namespace tessera
TAIL
