// Tests of what nodectl writes and reads as text: units, tables, filters, detach keys.
#include <capnp/message.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "tools/nodectl/detach_keys.h"
#include "tools/nodectl/event_line.h"
#include "tools/nodectl/filters.h"
#include "tools/nodectl/rows.h"
#include "tools/nodectl/stats_row.h"
#include "tools/nodectl/table.h"
#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

TEST(Units, durations_read_as_dockers) {
    EXPECT_EQ(human_duration(0), "Less than a second");
    EXPECT_EQ(human_duration(-5), "Less than a second");
    EXPECT_EQ(human_duration(1), "1 second");
    EXPECT_EQ(human_duration(59), "59 seconds");
    EXPECT_EQ(human_duration(60), "About a minute");
    EXPECT_EQ(human_duration(120), "2 minutes");
    EXPECT_EQ(human_duration(3600), "About an hour");
    EXPECT_EQ(human_duration(3 * 3600), "3 hours");
    EXPECT_EQ(human_duration(47 * 3600), "47 hours");
    EXPECT_EQ(human_duration(72 * 3600), "3 days");
    EXPECT_EQ(human_duration(15 * 24 * 3600), "2 weeks");
    EXPECT_EQ(human_duration(90 * 24 * 3600), "3 months");
    EXPECT_EQ(human_duration(3L * 366 * 24 * 3600), "3 years");
}

schema::ContainerFigures::Builder figures(capnp::MallocMessageBuilder& message, int64_t time_ns,
                                          uint64_t cpu_ns) {
    auto out = message.initRoot<schema::ContainerFigures>();
    out.setRun(1);
    out.setMonotonicNs(time_ns);
    out.initCpu().setTotalNs(cpu_ns);
    return out;
}

TEST(Stats, a_row_is_computed_from_two_samples) {
    capnp::MallocMessageBuilder one, two;
    auto before = figures(one, 1'000'000'000, 5'000'000'000);
    auto now = figures(two, 3'000'000'000, 8'000'000'000);
    now.initMemory().setWorkingSetBytes(1 << 20);
    now.getMemory().setLimitBytes(4 << 20);
    now.initPids().setCurrent(3);
    now.initIo().setWriteBytes(4096);
    now.initNet().setReceivedBytes(1'500);
    StatsSubject subject{std::string(64, 'a'), "web", "", now.asReader(), before.asReader()};
    const Json row = stats_row(subject, 1 << 30, true).fields;
    EXPECT_EQ(row["ID"], "aaaaaaaaaaaa");
    EXPECT_EQ(row["Container"], "aaaaaaaaaaaa");
    EXPECT_EQ(row["CPUPerc"], "150.00%");
    EXPECT_EQ(row["MemUsage"], "1MiB / 4MiB");
    EXPECT_EQ(row["MemPerc"], "25.00%");
    EXPECT_EQ(row["NetIO"], "1.5kB / 0B");
    EXPECT_EQ(row["BlockIO"], "0B / 4.1kB");
    EXPECT_EQ(row["PIDs"], "3");
    now.getMemory().setLimitBytes(0);
    EXPECT_EQ(stats_row(subject, 1 << 30, false).fields["MemUsage"], "1MiB / 1GiB");
    EXPECT_EQ(stats_row(subject, 1 << 30, false).fields["ID"], subject.id);
}

TEST(Stats, no_rate_goes_over_a_restart_or_a_counter_that_was_reset) {
    capnp::MallocMessageBuilder one, two;
    auto before = figures(one, 1'000, 5'000);
    auto now = figures(two, 2'000, 6'000);
    StatsSubject subject{"a", "web", "", now.asReader(), before.asReader()};
    EXPECT_DOUBLE_EQ(cpu_percent(subject), 100);
    now.getCpu().setTotalNs(4'000);
    EXPECT_EQ(cpu_percent(subject), 0);
    now.getCpu().setTotalNs(6'000);
    now.setRun(2);
    EXPECT_EQ(cpu_percent(subject), 0);
    subject.before.reset();
    EXPECT_EQ(cpu_percent(subject), 0);
}

TEST(Stats, waits_pressure_and_throttling_are_of_the_time_between_the_samples) {
    capnp::MallocMessageBuilder one, two;
    auto before = figures(one, 1'000'000'000, 0);
    auto now = figures(two, 2'000'000'000, 0);
    before.getCpu().setThrottledNs(5);
    now.getCpu().setThrottledNs(250'000'005);
    before.initPressure().initCpu().setSomeUs(100);
    now.initPressure().initCpu().setSomeUs(500'100);
    before.getPressure().setMonotonicNs(1'000'000'000);
    now.getPressure().setMonotonicNs(2'000'000'000);
    auto old_waits = before.initKernel().initWaitUsLog2(24);
    auto waits = now.initKernel().initWaitUsLog2(24);
    now.getKernel().setTcpRetransmits(4);
    old_waits.set(0, 1000);
    waits.set(0, 1000);
    StatsSubject subject{"a", "web", "", now.asReader(), before.asReader()};
    EXPECT_EQ(wait_percentile(subject, 50), "--") << "nobody waited";
    waits.set(6, 98);
    waits.set(13, 1);
    waits.set(23, 1);
    EXPECT_EQ(wait_percentile(subject, 50), "128µs");
    EXPECT_EQ(wait_percentile(subject, 99), "16ms");
    EXPECT_EQ(wait_percentile(subject, 100), "16s");
    const Row row = stats_row(subject, 1 << 30, true);
    EXPECT_EQ(row.methods["Throttled"], "25.00%");
    EXPECT_EQ(row.methods["PressureCPU"], "50.00%");
    EXPECT_EQ(row.methods["PressureIO"], "--") << "it has none";
    now.getPressure().setMonotonicNs(3'000'000'000);
    EXPECT_EQ(stats_row(subject, 1 << 30, true).methods["PressureCPU"], "25.00%");
    now.getPressure().setMonotonicNs(1'000'000'000);
    EXPECT_EQ(stats_row(subject, 1 << 30, true).methods["PressureCPU"], "--")
        << "it was not read meanwhile";
    EXPECT_EQ(row.methods["Retransmits"], "4");
    EXPECT_FALSE(row.fields.contains("Throttled")) << "docker's JSON is docker's";
    subject.before.reset();
    EXPECT_EQ(stats_row(subject, 1 << 30, true).methods["Throttled"], "--");
}

TEST(Stats, a_container_that_does_not_run_uses_nothing) {
    const Json row = stats_row({std::string(64, 'a'), "web", "w", {}, {}}, 1 << 30, true).fields;
    EXPECT_EQ(row["Container"], "w");
    EXPECT_EQ(row["CPUPerc"], "0.00%");
    EXPECT_EQ(row["MemUsage"], "0B / 0B");
    EXPECT_EQ(row["NetIO"], "0B / 0B");
    EXPECT_EQ(row["PIDs"], "0");
}

TEST(Stats, a_container_that_is_gone_has_no_figures) {
    StatsSubject subject{std::string(64, 'a'), "web", "w", {}, {}};
    subject.gone = true;
    const Row row = stats_row(subject, 1 << 30, true);
    EXPECT_EQ(row.fields.dump(),
              R"({"BlockIO":"--","CPUPerc":"--","Container":"w","ID":"aaaaaaaaaaaa",)"
              R"("MemPerc":"--","MemUsage":"-- / --","Name":"web","NetIO":"--","PIDs":"--"})");
    EXPECT_EQ(row.methods["OOMKills"], "--");
}

TEST(Units, sizes_are_decimal_with_three_digits) {
    EXPECT_EQ(human_size(0), "0B");
    EXPECT_EQ(human_size(999), "999B");
    EXPECT_EQ(human_size(1000), "1kB");
    EXPECT_EQ(human_size(4'261'502), "4.26MB");
    EXPECT_EQ(human_size(72'800'000), "72.8MB");
    EXPECT_EQ(human_size(1'234'000'000'000), "1.23TB");
}

TEST(Units, memory_is_binary_with_four_digits) {
    EXPECT_EQ(binary_size(0), "0B");
    EXPECT_EQ(binary_size(1023), "1023B");
    EXPECT_EQ(binary_size(1024), "1KiB");
    EXPECT_EQ(binary_size(4'259'840), "4.062MiB");
    EXPECT_EQ(binary_size(25'200'000'000), "23.47GiB");
}

TEST(Units, times_are_written_in_utc) {
    EXPECT_EQ(rfc3339_fixed(1'700'000'000'120'000'000), "2023-11-14T22:13:20.120000000Z");
    EXPECT_EQ(rfc3339_short(1'700'000'000'120'000'000), "2023-11-14T22:13:20.12Z");
    EXPECT_EQ(rfc3339_short(1'700'000'000'000'000'000), "2023-11-14T22:13:20Z");
    EXPECT_EQ(rfc3339_fixed(-1), "1969-12-31T23:59:59.999999999Z");
}

TEST(Units, times_are_read_as_rfc3339_or_as_a_duration_ago) {
    setenv("TZ", "UTC", 1);
    tzset();
    EXPECT_EQ(parse_time("2023-11-14T22:13:20Z", 0), 1'700'000'000'000'000'000);
    EXPECT_EQ(parse_time("2023-11-14T22:13:20.5Z", 0), 1'700'000'000'500'000'000);
    EXPECT_EQ(parse_time("2023-11-14T23:13:20.000000001+01:00", 0), 1'700'000'000'000'000'001);
    EXPECT_EQ(parse_time("2023-11-14T22:13:20", 0), 1'700'000'000'000'000'000);
    EXPECT_EQ(parse_time("1970-01-02", 0), 86'400 * kSecondNs);
    EXPECT_EQ(parse_time("1012-01-01T00:00:00Z", 0), std::nullopt);
    EXPECT_EQ(parse_time("2024-02-29", 0), 1'709'164'800 * kSecondNs);
    for (const char* no_time : {"2026-02-30", "2026-02-29T00:00:00Z", "2026-04-31T10:00",
                                "2026-04-30T10:00:00+24:00", "2026-04-30T10:00:00+01:60"})
        EXPECT_EQ(parse_time(no_time, 0), std::nullopt) << no_time;
    EXPECT_EQ(parse_time("2300-01-01T00:00:00Z", 0), std::nullopt);
    EXPECT_EQ(parse_time("10m", 1'000 * kSecondNs), 400 * kSecondNs);
    EXPECT_EQ(parse_time("1h30m", 10'000 * kSecondNs), 4'600 * kSecondNs);
    EXPECT_EQ(parse_time("1.5s", 2 * kSecondNs), kSecondNs / 2);
    for (const char* wrong :
         {"", "soon", "10", "10x", "2023-11-14T22:13:20.Z", "2023-11-14T22:13:20+1", "m"}) {
        EXPECT_EQ(parse_time(wrong, 0), std::nullopt) << wrong;
    }
}

TEST(Units, seconds_since_1970_may_have_a_fraction) {
    EXPECT_EQ(parse_unix_time("1700000000"), 1'700'000'000'000'000'000);
    EXPECT_EQ(parse_unix_time("1700000000.25"), 1'700'000'000'250'000'000);
    EXPECT_EQ(parse_unix_time("17x"), std::nullopt);
    EXPECT_EQ(parse_unix_time("99999999999999"), std::nullopt);
}

TEST(Units, an_id_is_cut_to_twelve_digits) {
    EXPECT_EQ(short_id("sha256:0123456789abcdef"), "0123456789ab");
    EXPECT_EQ(short_id("0123456789abcdef"), "0123456789ab");
}

TEST(Table, cells_are_aligned_and_the_last_one_is_not_padded) {
    EXPECT_EQ(align_tabs("A\tBB\tC\nlonger than it\tb\tc\n"),
              "A                BB        C\nlonger than it   b         c\n");
}

TEST(Table, width_is_counted_in_characters) {
    EXPECT_EQ(align_tabs("aaaaaaaaaaaa\tx\nééééééééé\tx\n"),
              "aaaaaaaaaaaa   x\nééééééééé      x\n");
}

TEST(Table, long_text_ends_in_an_ellipsis) {
    EXPECT_EQ(ellipsis("12345", 5), "12345");
    EXPECT_EQ(ellipsis("123456", 5), "1234…");
    EXPECT_EQ(ellipsis("éééééé", 5), "éééé…");
}

TEST(Filters, alternatives_of_one_key_and_all_of_different_keys) {
    constexpr std::string_view keys[] = {"name", "status", "label"};
    const std::vector<std::string> arguments = {"name=a", "name=b", "status=running"};
    const auto filters = Filters::parse(arguments, keys);
    ASSERT_TRUE(filters);
    const auto is = [](const char* value) {
        return [value](const std::string& wanted) { return wanted == value; };
    };
    EXPECT_TRUE(filters->any("name", is("b")));
    EXPECT_FALSE(filters->any("name", is("c")));
    EXPECT_FALSE(filters->all("name", is("b")));
    EXPECT_TRUE(filters->any("label", is("x"))) << "what was not asked for does not exclude";
    EXPECT_TRUE(filters->has("status"));
    EXPECT_FALSE(filters->has("label"));
}

TEST(Filters, keys_have_any_case_and_white_space_around_them) {
    constexpr std::string_view keys[] = {"name"};
    const std::vector<std::string> arguments = {"", " NAME = a "};
    const auto filters = Filters::parse(arguments, keys);
    ASSERT_TRUE(filters);
    ASSERT_EQ(filters->of("name").size(), 1u);
    EXPECT_EQ(filters->of("name")[0], "a");
}

TEST(Filters, wrong_ones_are_refused) {
    constexpr std::string_view keys[] = {"name"};
    const std::vector<std::string> no_value = {"name"};
    const std::vector<std::string> unknown = {"foo=1"};
    EXPECT_EQ(Filters::parse(no_value, keys).error().message,
              "invalid argument \"name\" for \"--filter\" flag: bad format of filter (expected "
              "name=value)");
    EXPECT_EQ(Filters::parse(unknown, keys).error().message,
              "invalid filter 'foo'; known are name");
}

TEST(Filters, a_label_is_asked_for_by_key_or_by_value) {
    const std::string value = "front";
    const auto find = [&](std::string_view key) { return key == "tier" ? &value : nullptr; };
    EXPECT_TRUE(label_matches("tier", find));
    EXPECT_TRUE(label_matches("tier=front", find));
    EXPECT_FALSE(label_matches("tier=back", find));
    EXPECT_FALSE(label_matches("team", find));
}

TEST(DetachKeys, names_become_the_bytes_that_a_terminal_sends) {
    EXPECT_EQ(*parse_detach_keys("ctrl-p,ctrl-q"), "\x10\x11");
    EXPECT_EQ(*parse_detach_keys("ctrl-@,a,ctrl-["), std::string("\0a\x1b", 3));
    EXPECT_FALSE(parse_detach_keys("ctrl-P"));
    EXPECT_FALSE(parse_detach_keys("ab"));
    EXPECT_FALSE(parse_detach_keys(""));
}

TEST(DetachKeys, the_sequence_is_found_over_several_reads_and_not_passed_on) {
    DetachMatcher matcher("\x10\x11");
    std::string passed;
    EXPECT_FALSE(matcher.feed("ls\x10", passed));
    EXPECT_EQ(passed, "ls");
    EXPECT_TRUE(matcher.feed("\x11more", passed));
    EXPECT_EQ(passed, "ls");
}

TEST(DetachKeys, keys_that_were_held_back_are_not_lost) {
    DetachMatcher matcher("\x10\x11");
    std::string passed;
    EXPECT_FALSE(matcher.feed("\x10x", passed));
    EXPECT_EQ(passed, "\x10x");
}

TEST(DetachKeys, the_beginning_of_the_sequence_may_repeat) {
    DetachMatcher once("\x10\x11");
    std::string passed;
    EXPECT_TRUE(once.feed("\x10\x10\x11", passed));
    EXPECT_EQ(passed, "\x10");
    DetachMatcher longer("aab");
    passed.clear();
    EXPECT_TRUE(longer.feed("aaab", passed));
    EXPECT_EQ(passed, "a");
}

TEST(Rows, a_table_has_the_headers_of_its_fields) {
    std::vector<Row> rows(1);
    rows[0].fields = {{"ID", "3f"}, {"Names", "web"}};
    rows[0].methods["Label"] = {{"tier", "front"}};
    const Json headers = {{"ID", "CONTAINER ID"}, {"Names", "NAMES"}};
    EXPECT_EQ(*render_rows(rows, "", "{{.ID}}\t{{.Names}}", headers),
              "CONTAINER ID   NAMES\n3f             web\n");
    EXPECT_EQ(*render_rows(rows, "table {{.Names}}\\t{{.ID}}", "", headers),
              "NAMES     CONTAINER ID\nweb       3f\n");
    EXPECT_EQ(*render_rows(rows, "json", "", headers), "{\"ID\":\"3f\",\"Names\":\"web\"}\n");
    EXPECT_EQ(*render_rows(rows, "{{.Names}}:{{.Label \"tier\"}}", "", headers), "web:front\n");
    EXPECT_EQ(*render_rows(rows, "table {{.Names}}\\t{{.Label \"a.b-c\"}}", "", headers),
              "NAMES     b c\nweb       \n");
    EXPECT_FALSE(render_rows(rows, "{{.Foo}}", "", headers));
}

TEST(EventLine, stays_one_line_whatever_a_user_wrote_into_it) {
    ShownEvent event;
    event.name = "ContainerRequested";
    event.payload = {{"name", "a\x1b[2Jb"}, {"spec", {{"imageName", "two\nlines"}}}};
    const std::string line = event_line(event, true);
    EXPECT_NE(line.find(" name=\"a\\u001b[2Jb\""), std::string::npos) << line;
    EXPECT_NE(line.find(" image=\"two\\nlines\""), std::string::npos) << line;
}

}  // namespace
}  // namespace noded::nodectl
