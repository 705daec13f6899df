// Payloads of any content as nodectl prints them: events of every type, as JSON and as a line.
#include <algorithm>

#include "agent/base/check.h"
#include "schemas/container.capnp.h"
#include "schemas/payload_json.h"
#include "schemas/storage.capnp.h"
#include "tests/fuzz/message.h"
#include "tools/nodectl/event_line.h"

namespace noded::nodectl {
namespace {

capnp::StructSchema some_schema(fuzz::Input& input) {
    static const capnp::StructSchema kSchemas[] = {
        capnp::Schema::from<schema::ContainerRequested>(),
        capnp::Schema::from<schema::ContainerStarted>(),
        capnp::Schema::from<schema::ContainerExited>(),
        capnp::Schema::from<schema::ExecRequested>(),
        capnp::Schema::from<schema::ContainerSnapshot>(),
        capnp::Schema::from<schema::ImageAdded>(),
        capnp::Schema::from<schema::RootfsPrepared>(),
        capnp::Schema::from<schema::StorageSnapshot>()};
    return kSchemas[input.number() % std::size(kSchemas)];
}

/// Nothing in it ends the line or moves the cursor.
bool is_one_line(const std::string& text) {
    return std::ranges::none_of(text, [](unsigned char c) { return c < ' '; });
}

void show(fuzz::Input input) {
    const auto schema = some_schema(input);
    const Buffer payload = fuzz::some_message(input, schema);
    ShownEvent event;
    event.name = schema.getShortDisplayName().cStr();
    event.plugin = "container";
    try {
        capnp::FlatArrayMessageReader reader(
            kj::arrayPtr(reinterpret_cast<const capnp::word*>(payload.data()),
                         payload.size() / sizeof(capnp::word)));
        event.payload = to_json(reader.getRoot<capnp::DynamicStruct>(schema));
    } catch (const kj::Exception&) {
        event.payload = nullptr;
    }
    CHECK(is_one_line(event_line(event, true)));
    CHECK(is_one_line(event_line(event, false)));
    CHECK(is_one_line(to_line(event_json(event))));
}

}  // namespace
}  // namespace noded::nodectl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    noded::nodectl::show(noded::fuzz::Input(data, size));
    return 0;
}
