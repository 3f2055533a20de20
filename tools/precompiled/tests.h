// What library.h holds, and GoogleTest: parsed once per build for the files under tests/.
#pragma once

#include <gtest/gtest.h>

#include "tools/precompiled/library.h"
