#include <gtest/gtest.h>

#include "agent/host/loader.h"

namespace noded::host {
namespace {

Description needing(const char* id, std::vector<std::string> needs) {
    Description description;
    description.id = id;
    description.needs = std::move(needs);
    return description;
}

std::vector<std::string> ordered(const std::vector<Description>& descriptions,
                                 std::vector<std::pair<size_t, std::string>>* refused) {
    std::vector<std::string> ids;
    for (const size_t i : dependency_order(descriptions, refused))
        ids.push_back(descriptions[i].id);
    return ids;
}

TEST(DependencyOrder, each_plugin_comes_after_those_that_it_needs) {
    std::vector<std::pair<size_t, std::string>> refused;
    const auto ids =
        ordered({needing("c", {"b", "a"}), needing("b", {"a"}), needing("a", {})}, &refused);
    EXPECT_EQ(ids, (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_TRUE(refused.empty());
}

TEST(DependencyOrder, a_missing_need_and_a_circle_are_left_out_with_a_reason) {
    std::vector<std::pair<size_t, std::string>> refused;
    const auto ids =
        ordered({needing("a", {"x"}), needing("b", {"c"}), needing("c", {"b"}), needing("d", {})},
                &refused);
    EXPECT_EQ(ids, (std::vector<std::string>{"d"}));
    ASSERT_EQ(refused.size(), 3u);
    EXPECT_EQ(refused[0].second, "it needs the plugin x, which is not there or waits for this one");
}

TEST(Loader, a_file_that_is_no_shared_object_is_refused_with_its_name) {
    const auto table = open_plugin("/etc/passwd");
    ASSERT_FALSE(table);
    EXPECT_NE(table.error().message.find("load /etc/passwd"), std::string::npos);
}

TEST(Loader, a_shared_object_without_the_symbol_is_refused) {
    const auto table = open_plugin("libm.so.6");
    ASSERT_FALSE(table);
    EXPECT_NE(table.error().message.find("it is not a noded plugin"), std::string::npos);
}

TEST(Loader, another_abi_is_refused_with_a_sentence_that_names_both_sides) {
    noded_descriptor descriptor{};
    descriptor.size = sizeof descriptor;
    descriptor.abi_major = 7;
    descriptor.abi_minor = 3;
    descriptor.id = "stranger";
    noded_plugin table{};
    table.size = sizeof table;
    table.descriptor = &descriptor;
    const auto description = describe(table);
    ASSERT_FALSE(description);
    EXPECT_EQ(description.error().message,
              "it was built for plugin ABI 7.3, this noded has 1.2; build it with the headers of "
              "this noded");
}

TEST(Loader, an_incomplete_table_and_a_bad_id_are_refused) {
    noded_descriptor descriptor{};
    descriptor.size = sizeof descriptor;
    descriptor.abi_major = NODED_ABI_MAJOR;
    descriptor.abi_minor = NODED_ABI_MINOR;
    descriptor.id = "Bad Name";
    noded_plugin table{};
    table.size = sizeof table;
    table.descriptor = &descriptor;
    EXPECT_EQ(describe(table).error().message, "its table has a NULL where a function is needed");
    table.init = [](const noded_host*) noexcept -> void* { return nullptr; };
    table.decide = [](void*, const noded_command*, const noded_decision*) noexcept {};
    table.fold = table.react = [](void*, const noded_event*) noexcept {};
    table.reconcile = table.stop = table.destroy = [](void*) noexcept {};
    table.snapshot_save = [](void*, const noded_sink*) noexcept {};
    table.snapshot_load = [](void*, noded_bytes) noexcept { return 1; };
    table.get_extension = [](void*, const char*) noexcept -> const void* { return nullptr; };
    EXPECT_NE(describe(table).error().message.find("its id is not of the form"), std::string::npos);
    descriptor.id = "good-name";
    EXPECT_TRUE(describe(table));
}

}  // namespace
}  // namespace noded::host
