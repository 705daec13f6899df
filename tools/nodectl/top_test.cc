// What `nodectl top` shows: rates, histories, order and filter.
#include "tools/nodectl/top_model.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

namespace noded::nodectl {
namespace {

struct Use {
    const char* id;
    const char* name;
    uint64_t cpu_ms, memory;
    uint32_t run = 1;
};

void take(TopModel& model, int64_t second, std::initializer_list<Use> uses) {
    capnp::MallocMessageBuilder message;
    auto sample = message.initRoot<schema::Sample>();
    sample.setMonotonicNs(second * 1'000'000'000);
    sample.setTimeNs((1000 + second) * 1'000'000'000);
    auto node = sample.initNode();
    node.setCpus(2);
    node.setBootNs(1'000'000'000);
    node.initCpu().setUserNs(uint64_t(second) * 500'000'000);
    node.getCpu().setIdleNs(uint64_t(second) * 1'500'000'000);
    node.initMemory().setTotalBytes(1000);
    node.getMemory().setAvailableBytes(250);
    auto rows = sample.initContainers(unsigned(uses.size()));
    unsigned i = 0;
    for (const Use& use : uses) {
        rows[i].setId(use.id);
        rows[i].setName(use.name);
        rows[i].setImage("busybox");
        rows[i].setRun(use.run);
        rows[i].setMonotonicNs(second * 1'000'000'000);
        rows[i].initCpu().setTotalNs(use.cpu_ms * 1'000'000);
        rows[i].initMemory().setWorkingSetBytes(use.memory);
        ++i;
    }
    model.take(sample.asReader());
}

std::string names(const TopModel& model) {
    std::string out;
    for (const TopRow* row : model.rows()) out += row->name + " ";
    return out;
}

TEST(TopModel, rates_are_between_two_samples) {
    TopModel model;
    take(model, 1, {{"a1", "web", 100, 10}});
    EXPECT_EQ(model.row("a1")->cpu_percent, 0);
    take(model, 3, {{"a1", "web", 1100, 10}});
    EXPECT_DOUBLE_EQ(model.row("a1")->cpu_percent, 50);
    EXPECT_DOUBLE_EQ(model.node().cpu_percent, 25);
    EXPECT_EQ(model.node().memory_used, 750u);
    EXPECT_EQ(model.node().up_seconds, 1002);
    // A counter that began anew.
    take(model, 4, {{"a1", "web", 5, 10, 2}});
    EXPECT_DOUBLE_EQ(model.row("a1")->cpu_percent, 50)
        << "what was before is shown a moment longer";
    take(model, 5, {});
    EXPECT_EQ(model.row("a1"), nullptr);
}

TEST(TopModel, rows_are_sorted_and_filtered) {
    TopModel model;
    for (const int second : {1, 2})
        take(model, second, {{"a1", "web", 100u * unsigned(second), 10},
                             {"b2", "db", 300u * unsigned(second), 30},
                             {"c3", "aux", 0, 20}});
    EXPECT_EQ(names(model), "db web aux ");
    model.sort_by(SortKey::memory);
    EXPECT_EQ(names(model), "db aux web ");
    model.sort_by(SortKey::memory);
    EXPECT_EQ(names(model), "web aux db ") << "the same again turns it around";
    model.sort_by(SortKey::name);
    EXPECT_EQ(names(model), "aux db web ");
    model.filter = "b";
    EXPECT_EQ(names(model), "aux db web ") << "of busybox, all of them";
    model.filter = "db";
    EXPECT_EQ(names(model), "db ");
    model.filter = "c3";
    EXPECT_EQ(names(model), "aux ");
    model.filter = "nothing";
    EXPECT_EQ(names(model), "");
}

TEST(TopModel, a_history_is_a_line_of_marks) {
    History history;
    EXPECT_EQ(history.line(4, 100, false), "    ");
    for (const double value : {0.0, 1.0, 50.0, 100.0, 200.0}) history.add(value);
    EXPECT_EQ(history.line(6, 100, false), "  .=@@");
    EXPECT_EQ(history.line(2, 0, true), "▄█");
    for (int i = 0; i < 1000; ++i) history.add(1);
    EXPECT_EQ(history.line(3, 1, false), "@@@");
}

TEST(TopModel, numbers_fit_into_narrow_columns) {
    EXPECT_EQ(short_number(0), "0");
    EXPECT_EQ(short_number(999), "999");
    EXPECT_EQ(short_number(1000), "1.00k");
    EXPECT_EQ(short_number(12'345), "12.3k");
    EXPECT_EQ(short_number(999'600), "1.00M");
    EXPECT_EQ(short_number(2.5e9), "2.50G");
}

TEST(TopModel, what_would_steer_a_terminal_is_not_shown) {
    EXPECT_EQ(harmless("a\x1b[31mb\x07\x7f", true), "a?[31mb??");
    EXPECT_EQ(harmless("a\tb", true), "a    b");
    EXPECT_EQ(harmless("\xc3\xa9\xff\xc2\x9b!", true), "\xc3\xa9?" "??!");
    EXPECT_EQ(harmless("\xc3\xa9", false), "??");
}

}  // namespace
}  // namespace noded::nodectl
