#!/usr/bin/env bash
# Joins sources of one kind (.cpp or .cu) into few files that include them, so that headers are parsed and their
# templates instantiated once for many. Prints the names of the files.
#   tools/batch_sources.sh FOLDER MOST SOURCE...        at most MOST sources in FOLDER/batch_<n>.cpp
# Two files that declare one name at namespace scope (`kCases` of two tests) never meet in a batch: such names stand at the
# beginning of a line in the house format. Nor do files with and without an inline namespace: nvcc 13 takes the nameless
# namespaces of both for one. A file is rewritten only when its list changes.
set -euo pipefail
folder=$1 most=$2
shift 2
mkdir -p "$folder"
awk -v most="$most" -v folder="$folder" '
  function declare(name) {
    if (name !~ /^(TEST|TEST_F|TEST_P|operator|static_assert|TESSERA_[A-Z_]*)$/) names[FILENAME] = names[FILENAME] name " "
  }
  /^inline namespace/ { within[FILENAME] = 1 }
  /^(using namespace|namespace|inline namespace|template|extern)|^using .*::[A-Za-z_0-9]+;/ { next }
  /^[A-Za-z_]/ || pending {
    line = $0
    sub(/^ +/, "", line)
    gsub(/__launch_bounds__\([^()]*\) ?/, "", line)
    pending = /^__global__/ && line !~ /\(/  # the name of the kernel is on the next line
    if (pending) next
    if (match($0, /^(struct|class|enum class|enum|union|using) [A-Za-z_0-9]+/)) {
      split(substr($0, RSTART, RLENGTH), word, " ")
      declare(word[length(word)])
      next
    }
    # constants: several may stand in one line
    if (/^(inline )?const(expr)? /) {
      for (; match(line, /[A-Za-z_0-9]+( =|\[)/); line = substr(line, RSTART + RLENGTH)) {
        name = substr(line, RSTART, RLENGTH)
        sub(/( =|\[)$/, "", name)
        declare(name)
      }
    }
    sub(/[=;].*/, "", line)
    if (match(line, /[A-Za-z_0-9]+ *[\[({]/)) {
      name = substr(line, RSTART, RLENGTH)
      sub(/ *[\[({]$/, "", name)
      declare(name)
    } else if (match(line, /[A-Za-z_0-9]+ *$/)) {
      name = substr(line, RSTART, RLENGTH)
      sub(/ *$/, "", name)
      declare(name)
    }
  }
  /^#define / { split($2, word, "("); declare(word[1]) }
  END {
    kind = ARGV[1] ~ /\.cu$/ ? ".cu" : ".cpp"
    for (i = 1; i < ARGC; ++i) {
      file = ARGV[i]
      count_names = split(names[file], of_file, " ")
      for (batch = 1; ; ++batch) {
        free = size[batch] < most && (size[batch] == 0 || within[file] == inside[batch])
        for (j = 1; free && j <= count_names; ++j) free = !((batch, of_file[j]) in taken)
        if (free) break
      }
      if (batch > batches) batches = batch
      for (j = 1; j <= count_names; ++j) taken[batch, of_file[j]] = 1
      ++size[batch]
      inside[batch] = within[file]
      text[batch] = text[batch] "#include \"" file "\"\n"
    }
    for (batch = 1; batch <= batches; ++batch) {
      path = folder "/batch_" batch kind
      old = ""
      while ((getline line < path) > 0) old = old line "\n"
      close(path)
      if (old != text[batch]) { printf "%s", text[batch] > path; close(path) }
      print path
    }
  }' "$@"
