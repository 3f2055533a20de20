#!/usr/bin/env bash
# From a bare Debian or Ubuntu to a result in one command.
#   ./run.sh          install what is missing, build, run the demo: out/demo/report.html
#   ./run.sh test     the same set-up, then the test suite
#   ./run.sh build    the same set-up, then only the build: build/tessera
set -euo pipefail
cd "$(dirname "$0")"
action=${1:-demo}
[[ $# -gt 0 ]] && shift
case $action in
  demo | test | build) ;;
  -h | --help) sed -n '2,5p' "$0"; exit 0 ;;
  *) echo "error: unknown action '$action'" >&2; echo "  try: ./run.sh [demo|test|build]" >&2; exit 2 ;;
esac

packages=(g++ make libturbojpeg0-dev libstb-dev nlohmann-json3-dev libcli11-dev libfmt-dev libzip-dev)
[[ $action == test ]] && packages+=(libgtest-dev clang-format shellcheck)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [[ ${#missing[@]} -gt 0 ]]; then
  sudo=""
  [[ $(id -u) -eq 0 ]] || sudo=sudo
  install=(apt-get install -y --no-install-recommends "${missing[@]}")
  if [[ -n $sudo ]] && ! command -v sudo >/dev/null; then
    echo "error: packages are missing and this user may not install them" >&2
    echo "  try: (as root) ${install[*]}" >&2
    exit 2
  fi
  echo "installing: ${missing[*]}"
  log=$(mktemp)
  if ! { DEBIAN_FRONTEND=noninteractive $sudo apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive $sudo "${install[@]}" -qq; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "error: the packages could not be installed" >&2
    echo "  try: $sudo ${install[*]}" >&2
    exit 2
  fi
  rm -f "$log"
fi

# At most one compiler per core and per 1.5 GB of memory.
cores=$(nproc)
by_memory=$(awk '/MemAvailable/ { n = int($2 / 1500000); print n < 1 ? 1 : n }' /proc/meminfo)
jobs=$((cores < by_memory ? cores : by_memory))

case $action in
  build) make -j"$jobs" --no-print-directory all ;;
  demo) make -j"$jobs" --no-print-directory all && exec build/tessera demo "$@" ;;
  test) exec tools/test_all.sh "$jobs" ;;
esac
