// Templates of users, parsed and rendered over a document with every kind of value in it.
#include "tools/nodectl/template.h"

#include "agent/base/check.h"
#include "tests/fuzz/input.h"

namespace {

const noded::nodectl::Json& document() {
    static const auto json = noded::nodectl::Json::parse(R"({
        "ID":"3f2a", "Names":["a","b"], "State":{"Status":"running","Pid":77,"Dead":false},
        "Size":1.5, "Big":18446744073709551615, "Low":-9, "None":null, "Empty":{}, "Nothing":[],
        "Mounts":[{"Type":"bind"},{"Type":"tmpfs"}]})");
    return json;
}

const noded::nodectl::Json& methods() {
    static const auto json = noded::nodectl::Json::parse(R"({"Label":{"k":"v"}})");
    return json;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string text = noded::fuzz::Input(data, size).rest_text();
    const auto parsed = noded::nodectl::Template::parse(text);
    if (!parsed) {
        CHECK(!parsed.error().message.empty());
        return 0;
    }
    const auto rendered = parsed->render(document(), methods());
    if (!rendered) CHECK(!rendered.error().message.empty());
    return 0;
}
