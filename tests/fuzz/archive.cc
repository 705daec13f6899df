// Archives of strangers, as `image load` and `image import` read them: refused with a sentence that
// leaves nothing behind, or loaded; and never a file outside the store.
#include <filesystem>
#include <set>

#include "agent/base/check.h"
#include "plugins/storage/image/test_archive.h"
#include "tests/fuzz/input.h"

namespace noded::image {
namespace {

constexpr size_t kMembersMax = 32;

UnpackLimits small() {
    UnpackLimits limits;
    limits.unpacked_bytes = 1 << 20;
    limits.entries = 256;
    return limits;
}

/// A tar of the members that the input describes: names, links and types are its choice, checksums
/// are right. What is not a member follows raw.
std::string tar_from(fuzz::Input& input) {
    static constexpr std::string_view kTypes = "0123456xgLKV\0";
    TarBuilder builder;
    for (size_t i = 0, count = input.number() % kMembersMax; i < count && !input.empty(); ++i) {
        TarMember member;
        member.type = kTypes[input.number() % kTypes.size()];
        member.name = input.text(input.number() % 100);
        member.link = input.text(input.number() % 64);
        member.content = input.text(input.number<uint16_t>() % 2048);
        member.mode = input.number<uint16_t>();
        member.uid = input.number();
        if (const uint8_t length = input.number() % 32; length != 0)
            member.pax[input.text(input.number() % 16)] = input.text(length);
        builder.add(member);
    }
    return builder.without_end_marker() + input.rest_text();
}

/// Everything beside the layers, two levels deep: where "../.." from within one leads.
std::set<std::string> around(const TestStore& store) {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(store.dir())) {
        if (entry.is_regular_file()) continue;   // the archive itself
        found.insert(entry.path());
        for (const auto& inner : std::filesystem::directory_iterator(entry))
            found.insert(inner.path());
    }
    return found;
}

void try_both(const std::string& archive) {
    // Nothing of one input is left for the next, whatever it made.
    const TestStore store;
    const std::set<std::string> outside = around(store);
    if (const auto images = store.load(archive, small()); !images) {
        CHECK(!images.error().message.empty());
        CHECK(store.content().empty());
    }
    const std::vector<std::string> before = store.content();
    ImportOptions options;
    options.limits = small();
    options.created = "2025-01-01T00:00:00Z";
    if (const auto image = store.import(archive, options); !image) {
        CHECK(!image.error().message.empty());
        CHECK(store.content() == before);
    }
    CHECK(around(store) == outside);
}

}  // namespace
}  // namespace noded::image

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace noded;
    fuzz::Input input(data, size);
    switch (input.number() % 4) {
        case 0: image::try_both(input.rest_text()); break;
        case 1: image::try_both(image::gzip(image::tar_from(input))); break;
        case 2: image::try_both(image::zstd(image::tar_from(input))); break;
        case 3: image::try_both(image::tar_from(input)); break;
    }
    return 0;
}
