#include "engine/core/memory_table.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST(MemoryTable, BytesAsPeopleReadThem) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(1.5 * 1024 * 1024), "1.5 MiB");
  EXPECT_EQ(format_bytes(13.5 * 1024 * 1024 * 1024), "13.5 GiB");
}

TEST(MemoryTable, LargestPurposeFirstTotalLast) {
  const auto allocator = make_plan_allocator();
  allocator->allocate(2048, "small");
  allocator->allocate(4096, "large");
  const std::string table = format_memory_table(allocator->statistics());
  EXPECT_LT(table.find("large"), table.find("small"));
  EXPECT_LT(table.find("small"), table.find("total"));
  EXPECT_NE(table.find("6.0 KiB"), std::string::npos);
}

}  // namespace
}  // namespace tessera
