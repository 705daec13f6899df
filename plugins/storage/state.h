// What the storage plugin folded: images and their names, which containers stand on them, imports
// under way. Changed by fold.cc alone, read by all; pure, no path and no descriptor in it.
//
// Invariants: every name points to an image that has it among its names; an import is either
// pending or among the outcomes.
#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/ids.h"
#include "plugins/abi/plugin.h"

namespace noded::storage {

struct Layer {
    std::string diff_id;  ///< "sha256:…"
    uint64_t size_bytes = 0;
};

struct Image {
    std::string id;  ///< "sha256:…"
    std::string config;
    std::string manifest_digest;  ///< empty for none
    std::vector<Layer> layers;    ///< lowest first
    std::set<std::string> names;  ///< "busybox:latest"; empty: dangling
    uint64_t size_bytes = 0;
    int64_t created_ns = 0;  ///< as the config says, 0 if it does not
};

enum class Rootfs { requested, prepared, failed, removed };

/// What an effect needs to name its cause.
struct Origin {
    uint64_t seq = 0;
    CommandId command_id;
};

struct Container {
    std::string image_id;
    std::vector<std::string> layers;  ///< diff ids, lowest first
    Rootfs rootfs = Rootfs::requested;
    bool running = false;   ///< from the request to start until the exit
    bool removing = false;
    bool gone = false;  ///< ContainerRemoved is there, RootfsRemoved not yet
    Origin requested;
    Origin removal;
};

struct Import {
    uint64_t seq = 0;
    bool archive = false;  ///< LoadImages, otherwise ImportImage
    std::string reference;
    std::vector<std::string> changes;
    std::string message;
    /// A commit instead: the ContainerCommitRequested, a flat message.
    std::vector<uint64_t> commit;
    std::string container;
    bool waits = false;       ///< for the container to be paused
    std::string pause_error;  ///< why it will not be
};

struct ImportOutcome {
    CommandId command_id;
    std::vector<std::string> ids;
    std::vector<std::string> names;
    std::string error;  ///< empty: it succeeded
};

/// Why a command is refused.
struct Refusal {
    noded_rejection code;
    std::string message;
};

struct Found {
    const Image* image;
    std::string name;  ///< under which it was found; empty: by id
};

struct State {
    std::map<std::string, Image> images;      ///< by id
    std::map<std::string, std::string> names;  ///< name to id
    std::map<std::string, Container> containers;
    std::map<CommandId, Import> imports;  ///< pending
    std::deque<ImportOutcome> outcomes;   ///< oldest first, limits::outcomes_remembered_max

    const ImportOutcome* outcome_of(const CommandId& command) const;
    /// The image that the user means: name[:tag], id, or unique prefix of an id; as docker looks.
    std::expected<Found, Refusal> find_image(std::string_view reference) const;
    /// Ids of the containers that stand on each image, in order; images without any are absent.
    std::map<std::string, std::vector<std::string>> users() const;
};

inline noded_bytes flat_bytes(const std::vector<uint64_t>& words) {
    return {reinterpret_cast<const uint8_t*>(words.data()), words.size() * sizeof(uint64_t)};
}

/// "0123456789ab" of "sha256:0123456789abcdef…", as users see ids.
std::string short_id(std::string_view id);

CommandId command_id(const uint8_t (&bytes)[32]);

}  // namespace noded::storage
