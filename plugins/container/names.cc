// Names of containers, see names.h. The words are of weather, woods and water: easy to say and to
// type.
#include "plugins/container/names.h"

#include <algorithm>

#include "plugins/container/limits.h"

namespace noded::container {
namespace {

constexpr const char* kAdjectives[] = {
    "amber",  "ample",   "agile",  "apt",    "azure",  "bold",   "brave", "bright",
    "brisk",  "calm",    "candid", "clear",  "clever", "cool",   "cosy",  "crisp",
    "deep",   "deft",    "eager",  "early",  "even",   "fair",   "fast",  "fine",
    "firm",   "fond",    "fresh",  "gentle", "glad",   "golden", "grand", "green",
    "handy",  "hardy",   "humble", "ideal",  "jolly",  "keen",   "kind",  "lively",
    "loyal",  "lucid",   "mellow", "merry",  "mild",   "modest", "neat",  "nimble",
    "noble",  "patient", "plain",  "proud",  "quick",  "quiet",  "rapid", "ready",
    "serene", "silent",  "sober",  "solid",  "steady", "sunny",  "tidy",  "vivid"};
constexpr const char* kNouns[] = {
    "acorn",  "alder",   "aspen",   "badger", "bay",    "beech",  "birch",  "breeze",
    "brook",  "canyon",  "cedar",   "cliff",  "cloud",  "comet",  "coral",  "cove",
    "crane",  "creek",   "dawn",    "delta",  "dune",   "elm",    "falcon", "fern",
    "field",  "finch",   "fjord",   "forest", "frost",  "glade",  "grove",  "harbor",
    "hazel",  "heath",   "heron",   "hill",   "island", "lagoon", "lake",   "larch",
    "maple",  "marsh",   "meadow",  "mesa",   "moss",   "oak",    "otter",  "pebble",
    "pine",   "prairie", "rain",    "reef",   "ridge",  "river",  "robin",  "shore",
    "spruce", "summit",  "thicket", "tide",   "valley", "willow", "wren",   "yew"};
static_assert(std::size(kAdjectives) == 64 && std::size(kNouns) == 64);

bool is_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

Result<std::string> check_name(std::string_view name) {
    if (name.starts_with('/')) name.remove_prefix(1);
    const bool allowed = name.size() >= 2 && name.size() <= limits::name_bytes_max &&
                         is_alnum(name[0]) && std::ranges::all_of(name, [](char c) {
                             return is_alnum(c) || c == '_' || c == '.' || c == '-';
                         });
    if (allowed) return std::string(name);
    return fail("Invalid container name (" + std::string(name.substr(0, limits::name_bytes_max)) +
                "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, and from 2 to " +
                std::to_string(limits::name_bytes_max) + " of them");
}

std::string make_name(const CommandId& id, const std::function<bool(const std::string&)>& taken) {
    const std::string base =
        std::string(kAdjectives[id.bytes[0] % 64]) + "_" + kNouns[id.bytes[1] % 64];
    std::string name = base;
    // Every taken name belongs to a container, of which there is a bounded number.
    for (size_t n = 2; taken(name) && n < limits::containers_max + 2; ++n)
        name = base + std::to_string(n);
    return name;
}

}  // namespace noded::container
