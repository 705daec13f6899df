// Look-ups in the folded state, see state.h.
#include "plugins/storage/state.h"

#include <algorithm>

#include "plugins/storage/image/reference.h"

namespace noded::storage {
namespace {

constexpr std::string_view kAlgorithm = "sha256:";

std::string_view without_algorithm(std::string_view id) {
    return id.starts_with(kAlgorithm) ? id.substr(kAlgorithm.size()) : id;
}

bool is_hex(std::string_view text) {
    return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    });
}

}  // namespace

const ImportOutcome* State::outcome_of(const CommandId& command) const {
    auto found = std::ranges::find(outcomes, command, &ImportOutcome::command_id);
    return found == outcomes.end() ? nullptr : &*found;
}

std::expected<Found, Refusal> State::find_image(std::string_view reference) const {
    const std::string_view hex = without_algorithm(reference);
    const bool may_be_id = is_hex(hex);
    if (may_be_id && hex.size() == 64) {
        auto exact = images.find(std::string(kAlgorithm) + std::string(hex));
        if (exact != images.end()) return Found{&exact->second, {}};
        return std::unexpected(
            Refusal{NODED_REJECT_NOT_FOUND, "No such image: " + std::string(reference)});
    }
    std::string missing = "No such image: " + std::string(reference);
    auto parsed = image::parse_reference(reference);
    if (parsed) {
        auto named = names.find(parsed->familiar());
        if (named != names.end()) return Found{&images.at(named->second), named->first};
        missing = "No such image: " + parsed->familiar();
    } else if (!may_be_id) {
        return std::unexpected(Refusal{NODED_REJECT_INVALID, parsed.error().message});
    }
    if (!may_be_id) return std::unexpected(Refusal{NODED_REJECT_NOT_FOUND, missing});
    const std::string prefix = std::string(kAlgorithm) + std::string(hex);
    auto first = images.lower_bound(prefix);
    if (first == images.end() || !first->first.starts_with(prefix))
        return std::unexpected(Refusal{NODED_REJECT_NOT_FOUND, missing});
    if (auto next = std::next(first); next != images.end() && next->first.starts_with(prefix))
        return std::unexpected(Refusal{
            NODED_REJECT_INVALID, "Multiple IDs found with provided prefix: " + std::string(hex)});
    return Found{&first->second, {}};
}

std::map<std::string, std::vector<std::string>> State::users() const {
    std::map<std::string, std::vector<std::string>> users;
    for (const auto& [id, container] : containers)
        if (!container.gone) users[container.image_id].push_back(id);
    return users;
}

std::string short_id(std::string_view id) {
    return std::string(without_algorithm(id).substr(0, 12));
}

CommandId command_id(const uint8_t (&bytes)[32]) {
    CommandId id;
    std::ranges::copy(bytes, id.bytes.begin());
    return id;
}

}  // namespace noded::storage
