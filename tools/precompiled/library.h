// Headers of the standard library and of fmt that most files include: parsed once per build (Makefile, PRECOMPILED).
// Nothing of the project stands here, and every file still includes what it uses: PRECOMPILED=no compiles the same.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>
