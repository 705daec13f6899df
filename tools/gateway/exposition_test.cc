// The text that Prometheus reads.
#include "tools/gateway/exposition.h"

#include <gtest/gtest.h>

namespace noded::gateway {
namespace {

TEST(Exposition, a_family_without_samples_is_not_told_of) {
    Exposition out(Format::text);
    out.family("a_total", Type::counter, "Nobody has it.");
    out.family("b", Type::gauge, "Somebody has.");
    out.sample("", 1);
    EXPECT_EQ(out.take(), "# HELP b Somebody has.\n# TYPE b gauge\nb 1\n");
}

TEST(Exposition, openmetrics_names_counters_without_their_end_and_has_a_last_line) {
    Exposition out(Format::openmetrics);
    out.family("a_total", Type::counter, "Things.");
    out.sample(labels({{"x", "y"}}), 2);
    EXPECT_EQ(out.take(), "# HELP a Things.\n# TYPE a counter\na_total{x=\"y\"} 2\n# EOF\n");
}

TEST(Exposition, numbers_are_whole_where_they_can_be) {
    Exposition out(Format::text);
    out.family("a", Type::gauge, "A.");
    for (const double value : {0.0, 1000000.0, 0.25, 1e-9, -3.0, 1e300}) out.sample("", value);
    EXPECT_EQ(out.take(),
              "# HELP a A.\n# TYPE a gauge\na 0\na 1000000\na 0.25\na 1e-09\na -3\na 1e+300\n");
}

TEST(Exposition, values_of_labels_may_be_any_bytes) {
    EXPECT_EQ(labels({{"a", "x\"\\\n"}, {"b", "\xc3\xa9"}}), "a=\"x\\\"\\\\\\n\",b=\"\xc3\xa9\"");
    const std::string bad = "\xef\xbf\xbd";
    EXPECT_EQ(labels({{"a", "\xff|\xc3|\xc0\x80|\xed\xa0\x80"}}),
              "a=\"" + bad + "|" + bad + "|" + bad + bad + "|" + bad + bad + bad + "\"");
}

TEST(Exposition, a_name_has_only_letters_digits_and_underscores) {
    EXPECT_EQ(name_part("com.docker/a-b1"), "com_docker_a_b1");
    EXPECT_EQ(name_part("\xc3\xbcn\xff"), "_n_") << "one for each character";
}

TEST(Exposition, a_histogram_has_its_parts_under_one_name) {
    Exposition out(Format::text);
    out.family("h", Type::histogram, "H.");
    out.sample("_bucket", "le=\"+Inf\"", 2);
    out.sample("_sum", "", 0.5);
    out.sample("_count", "", 2);
    EXPECT_EQ(out.take(), "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 0.5\n"
                          "h_count 2\n");
}

}  // namespace
}  // namespace noded::gateway
