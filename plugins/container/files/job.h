// What noded tells the files helper to do, and what the helper answers: two lists of "key=value"
// strings with a NUL behind each. Shared by both sides, which are of one build.
//
// The helper gets three descriptors: 3 the job (read to its end), 4 where its outcome goes, 5 the
// stream of a job that has one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "plugins/sdk/tree/ids.h"

namespace noded::files {

constexpr int job_fd = 3;
constexpr int outcome_fd = 4;
constexpr int stream_fd = 5;

enum class Verb : uint32_t {
    stat,   ///< what is at a path
    read,   ///< a path as a tar into the stream
    write,  ///< the stream, a tar, into the directory at a path
    diff,   ///< changes against the image into the stream: a letter of "ACD", the path, NUL
    whole,  ///< the root file system without what is mounted in it, as a tar into the stream
    size,   ///< bytes in files of the upper directory
    fill,   ///< makes the volumes; of noded alone
};
constexpr uint32_t verbs_known = 7;
constexpr uint32_t verbs_of_clients = 6;

/// Of a container that does not run: a running one has it mounted.
struct Bind {
    std::string source;
    std::string target;
    bool read_only = false;
    bool recursive = true;
    bool volume = false;  ///< an anonymous one: the source is made when it is not there
    bool copies = false;  ///< with what the image has at the target
    bool operator==(const Bind&) const = default;
};

struct Job {
    Verb verb{};
    std::string path;
    bool follow = false;  ///< a link at the end of the path, too
    uint32_t parent = 0;  ///< pid of the noded that asks: the helper ends with it
    uint32_t pid = 0;     ///< of the container's first process; 0: it does not run
    uint64_t pid_start_time = 0;
    bool read_only = false;  ///< the root file system
    std::vector<std::string> lowers;  ///< top first
    std::string upper;
    std::string work;
    std::vector<Bind> binds;
    tree::IdRanges ids;  ///< of a container with a user namespace; empty: the host's
    bool operator==(const Job&) const = default;
};

struct Outcome {
    std::string error;  ///< a sentence; empty: it succeeded
    int32_t code = 0;   ///< errno behind the error, if there is one
    bool exists = false;
    uint32_t mode = 0;
    uint64_t size = 0;
    int64_t mtime_ns = 0;
    std::string link;  ///< target of a symbolic link
    std::string path;  ///< where the path led, absolute in the container
    bool operator==(const Outcome&) const = default;
};

std::string encode(const Job& job);
std::string encode(const Outcome& outcome);
Result<Job> decode_job(std::string_view text);
Result<Outcome> decode_outcome(std::string_view text);

/// Absolute, without ".", ".." and double slashes; ".." never leads above the root.
std::string clean_path(std::string_view path);
/// "/a/." and "/a/" mean what the directory holds, or the directory behind a link.
bool asks_for_directory(std::string_view path);
bool asks_for_content(std::string_view path);
/// Of a clean path: its directory, and its last component ("/" for the root).
std::string directory_of(const std::string& clean);
std::string base_of(const std::string& clean);

}  // namespace noded::files
