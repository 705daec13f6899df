// Samples as JSON are what Cap'n Proto's own codec makes of them.
#include "plugins/stats/json_text.h"

#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "schemas/stats.capnp.h"

namespace noded::stats {
namespace {

using Json = nlohmann::json;

void expect_as_the_codec(JsonText& json, schema::StatsMessage::Reader message) {
    capnp::JsonCodec codec;
    const std::string expected = codec.encode(message).cStr();
    EXPECT_EQ(Json::parse(json.of(message)), Json::parse(expected)) << json.of(message);
}

TEST(JsonText, a_container_is_what_the_codec_makes_of_it) {
    capnp::MallocMessageBuilder message;
    auto root = message.initRoot<schema::StatsMessage>();
    JsonText json;
    auto container = root.initContainer();
    expect_as_the_codec(json, root.asReader());
    root.setSequence(7);
    root.setMonotonicNs(-5);
    container.setId("ab");
    container.setName("a \"name\" with \\ and \n and \x01 and é");
    container.setRun(4'000'000'000);
    container.initCpu().setTotalNs(UINT64_MAX);
    container.initPressure().initIo().setSomeUs(3);
    auto waits = container.initKernel().initWaitUsLog2(3);
    for (unsigned i = 0; i < 3; ++i) waits.set(i, i * 1'000'000'000'000);
    container.initNetworks(2)[1].setName("eth0");
    expect_as_the_codec(json, root.asReader());
    EXPECT_EQ(json.of(root.asReader()).find("\"node\""), std::string_view::npos);
}

TEST(JsonText, a_node_is_what_the_codec_makes_of_it) {
    capnp::MallocMessageBuilder message;
    auto root = message.initRoot<schema::StatsMessage>();
    auto node = root.initNode();
    node.setCpus(2);
    node.setLoad1(0.1);
    node.setLoad5(1e-9);
    node.setLoad15(12345.5);
    node.initPerCpu(2)[1].setIdleNs(77);
    node.initMeminfo(2)[0].setIsBytes(true);
    node.initDisks(0);
    auto filesystems = node.initFilesystems(1);
    filesystems[0].setMountPoint("/");
    filesystems[0].setReadOnly(true);
    JsonText json;
    expect_as_the_codec(json, root.asReader());
    expect_as_the_codec(json, root.asReader());
}

}  // namespace
}  // namespace noded::stats
