// What noci tells systemd of a container.
#include <gtest/gtest.h>

#include <map>

#include "plugins/container/noci/systemd.h"

namespace noded::noci {
namespace {

constexpr uint64_t kInfinity = UINT64_MAX;

std::map<std::string, UnitValue> by_name(const Result<std::vector<UnitProperty>>& properties) {
    std::map<std::string, UnitValue> all;
    if (!properties) ADD_FAILURE() << properties.error().message;
    else
        for (const UnitProperty& property : *properties) all[property.name] = property.value;
    return all;
}

std::map<std::string, UnitValue> limits(const char* resources, bool pure_v2 = true) {
    return by_name(resource_properties(Json::parse(resources), pure_v2, false));
}

std::map<std::string, UnitValue> annotated(const std::string& name, const std::string& value) {
    return by_name(new_unit_properties({"noci-a.scope", "system.slice"}, "a", 7, true,
                                       {{"org.systemd.property." + name, value}}));
}

TEST(UnitNames, are_the_last_two_folders) {
    EXPECT_EQ(unit_names("/a.slice/a-b.slice/p-n.scope").unit, "p-n.scope");
    EXPECT_EQ(unit_names("/a.slice/a-b.slice/p-n.scope").slice, "a-b.slice");
    EXPECT_EQ(unit_names("/p-n.scope").slice, "-.slice");
}

TEST(UnitProperties, a_scope_has_its_first_process_and_a_slice_has_none) {
    const auto scope = annotated("CollectMode", "'inactive'");
    EXPECT_EQ(scope.at("Slice"), UnitValue("system.slice"));
    EXPECT_EQ(scope.at("PIDs"), UnitValue(std::vector<uint32_t>{7}));
    EXPECT_EQ(scope.at("Delegate"), UnitValue(true));
    const auto slice = by_name(
        new_unit_properties({"a-b.slice", "a.slice"}, "a", 0, true, {}));
    EXPECT_EQ(slice.at("Wants"), UnitValue(std::vector<std::string>{"a.slice"}));
    EXPECT_FALSE(slice.contains("PIDs"));
    EXPECT_FALSE(slice.contains("Delegate"));
}

TEST(UnitProperties, of_limits_on_v2) {
    const auto all = limits(R"({"memory": {"limit": 1000, "swap": 1500, "reservation": 500},
        "cpu": {"shares": 1024, "quota": 10050, "period": 100000, "cpus": "0-2,9"},
        "pids": {"limit": 0}, "unified": {"memory.high": "900", "pids.max": "max"}})");
    EXPECT_EQ(all.at("MemoryMax"), UnitValue(uint64_t{1000}));
    EXPECT_EQ(all.at("MemorySwapMax"), UnitValue(uint64_t{500}));
    EXPECT_EQ(all.at("MemoryLow"), UnitValue(uint64_t{500}));
    EXPECT_EQ(all.at("MemoryHigh"), UnitValue(uint64_t{900}));
    EXPECT_EQ(all.at("CPUWeight"), UnitValue(uint64_t{100}));
    EXPECT_EQ(all.at("CPUQuotaPeriodUSec"), UnitValue(uint64_t{100000}));
    EXPECT_EQ(all.at("CPUQuotaPerSecUSec"), UnitValue(uint64_t{110000})) << "whole percents";
    EXPECT_EQ(all.at("AllowedCPUs"), UnitValue(std::vector<uint8_t>{7, 2}));
    EXPECT_EQ(all.at("TasksMax"), UnitValue(kInfinity)) << "unified comes last";
    EXPECT_EQ(limits(R"({"pids": {"limit": 0}})").at("TasksMax"), UnitValue(uint64_t{1}));
    EXPECT_EQ(limits(R"({"memory": {"limit": -1}})").at("MemorySwapMax"), UnitValue(kInfinity));
    EXPECT_EQ(limits(R"({"cpu": {"idle": 1, "shares": 5}})").at("CPUWeight"),
              UnitValue(uint64_t{0}));
    EXPECT_EQ(limits(R"({"cpu": {"quota": -1}})").at("CPUQuotaPerSecUSec"), UnitValue(kInfinity));
    EXPECT_TRUE(limits("{}").empty());
}

TEST(UnitProperties, of_limits_on_v1_have_other_names) {
    const auto all = limits(R"({"memory": {"limit": 1000, "swap": 1500}, "cpu": {"shares": 1024},
        "blockIO": {"weight": 300}})", false);
    EXPECT_EQ(all.at("MemoryLimit"), UnitValue(uint64_t{1000}));
    EXPECT_EQ(all.at("CPUShares"), UnitValue(uint64_t{1024}));
    EXPECT_EQ(all.at("BlockIOWeight"), UnitValue(uint64_t{300}));
    EXPECT_EQ(all.size(), 3u);
}

TEST(UnitProperties, a_quota_is_rounded_for_the_kernel_too) {
    Json resources = Json::parse(R"({"cpu": {"quota": 10050, "period": 100000}})");
    round_quota(resources);
    EXPECT_EQ(resources["cpu"]["quota"], 11000);
    resources = Json::parse(R"({"cpu": {"quota": 20000}})");
    round_quota(resources);
    EXPECT_EQ(resources["cpu"]["quota"], 20000);
    resources = Json::parse(R"({"memory": {}})");
    round_quota(resources);
    EXPECT_FALSE(resources.contains("cpu"));
}

TEST(UnitProperties, devices_are_a_list_of_what_is_allowed) {
    const Json resources = Json::parse(R"({"devices": [{"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"},
        {"allow": true, "type": "b", "major": 8, "access": "r"},
        {"allow": true, "type": "c", "minor": 5, "access": "r"},
        {"allow": true, "type": "c", "major": 10, "minor": 1, "access": "rw"},
        {"allow": false, "type": "c", "major": 10, "minor": 1, "access": "rwm"}]})");
    const auto properties = resource_properties(resources, true, true);
    ASSERT_TRUE(properties) << properties.error().message;
    ASSERT_EQ(properties->size(), 3u);
    EXPECT_EQ((*properties)[0].value, UnitValue(std::vector<DeviceAllow>()));
    EXPECT_EQ((*properties)[1].value, UnitValue("strict"));
    const auto& list = std::get<std::vector<DeviceAllow>>((*properties)[2].value);
    EXPECT_EQ(list[0], DeviceAllow("/dev/char/10:229", "rw"));
    EXPECT_EQ(list[1], DeviceAllow("block-8", "r"));
    EXPECT_EQ(list[2], DeviceAllow("char-*", "m")) << "of what systemd has no word for nothing";
    const auto open = by_name(resource_properties(
        Json::parse(R"({"devices": [{"allow": true, "access": "rwm"}]})"), true, true));
    EXPECT_EQ(open.at("DevicePolicy"), UnitValue("auto"));
}

TEST(UnitProperties, annotations_are_read_by_type) {
    EXPECT_EQ(annotated("TimeoutStopSec", "2").at("TimeoutStopUSec"),
              UnitValue(uint64_t{2'000'000}));
    EXPECT_EQ(annotated("TimeoutStopUSec", "uint64 9").at("TimeoutStopUSec"),
              UnitValue(uint64_t{9}));
    EXPECT_EQ(annotated("Some", "true").at("Some"), UnitValue(true));
    EXPECT_EQ(annotated("Some", "\"a\\\"b\"").at("Some"), UnitValue("a\"b"));
    EXPECT_EQ(annotated("Some", "['a', \"b\"]").at("Some"),
              UnitValue(std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(annotated("Some", "[]").at("Some"), UnitValue(std::vector<std::string>()));
    for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
             {"Some", ""}, {"Some", "'a"}, {"Some", "['a'"}, {"Some", "a"}, {"Some", "uint64"},
             {"Some", "uint64 -1"}, {"Some", "1 2"}, {"Some", "'a\\"}, {"X", "1"}, {"So-me", "1"},
             {"TimeoutStopSec", "'a'"}})
        EXPECT_FALSE(new_unit_properties({"a.scope", "b.slice"}, "a", 7, true,
                                         {{"org.systemd.property." + name, value}}))
            << name << "=" << value;
}

}  // namespace
}  // namespace noded::noci
