// Commits: a ContainerCommitRequested, from the time that its container is still until the image is
// there. It shares the queue, the store and the outcomes with imports (import.cc); only what it is
// made of differs.
#include <algorithm>

#include "plugins/storage/created.h"
#include "plugins/storage/limits.h"
#include "plugins/storage/image/image_config.h"
#include "plugins/storage/image/json.h"
#include "plugins/storage/plugin.h"
#include "schemas/container.capnp.h"

namespace noded::storage {
namespace {

using Requested = schema::ContainerCommitRequested::Reader;
using sdk::to_string;
using sdk::to_strings;

std::string joined(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
    return out;
}

/// As an image has it; times in nanoseconds, those that were not said left out.
std::string health_json(schema::HealthCheck::Reader health) {
    image::Json out = {{"Test", to_strings(health.getTest())}};
    const auto add_time = [&](const char* key, uint32_t milliseconds) {
        if (milliseconds != 0) out[key] = int64_t{milliseconds} * 1'000'000;
    };
    add_time("Interval", health.getIntervalMs());
    add_time("Timeout", health.getTimeoutMs());
    add_time("StartPeriod", health.getStartPeriodMs());
    add_time("StartInterval", health.getStartIntervalMs());
    if (health.getRetries() != 0) out["Retries"] = health.getRetries();
    return out.dump(-1, ' ', false, image::Json::error_handler_t::replace);
}

/// What the container says stands for what its image says; ports and volumes are the image's.
void take_over(image::RuntimeConfig& config, Requested requested) {
    config.env = to_strings(requested.getEnv());
    config.entrypoint = to_strings(requested.getEntrypoint());
    config.cmd = to_strings(requested.getCommand());
    config.working_dir = to_string(requested.getWorkingDir());
    config.user = to_string(requested.getUser());
    config.labels.clear();
    for (auto label : requested.getLabels())
        config.labels[to_string(label.getKey())] = to_string(label.getValue());
    constexpr int32_t kDefaultSignal = 15;
    if (requested.getStopSignal() != kDefaultSignal || !config.stop_signal.empty())
        config.stop_signal = std::to_string(requested.getStopSignal());
    if (requested.hasHealth()) config.healthcheck = health_json(requested.getHealth());
    config.on_build.clear();  // they were for the image that the container is of
}

}  // namespace

/// Of those that wait for nothing any more, each once. They go before imports, because containers
/// are paused for them; one that is under way is waited for, but not for ever.
void StoragePlugin::request_commits() {
    for (const auto& [command, import] : state_.imports) {
        if (import.commit.empty() || import.waits || importing_ == command) continue;
        if (std::ranges::find(imports_waiting_, command, &Origin::command_id) !=
            imports_waiting_.end())
            continue;
        if (failed_commits_.contains(command)) continue;
        const auto first_import = std::ranges::find_if(imports_waiting_, [&](const Origin& at) {
            return state_.imports.at(at.command_id).commit.empty();
        });
        imports_waiting_.insert(first_import, {import.seq, command});
        commits_since_[command] = host_.monotonic_ns();
    }
    next_store_work();
    if (commit_timer_ == 0) give_up_commits();
}

/// One timer for all: it fires when the oldest is due, and is set again for the next.
void StoragePlugin::give_up_commits() {
    const int64_t now = host_.monotonic_ns();
    int64_t next_ns = INT64_MAX;
    for (auto at = commits_since_.begin(); at != commits_since_.end();) {
        const CommandId command = at->first;
        const auto waiting = std::ranges::find(imports_waiting_, command, &Origin::command_id);
        const int64_t left_ns = at->second + limits::commit_wait_ns_max - now;
        if (waiting != imports_waiting_.end() && left_ns > 0) {
            next_ns = std::min(next_ns, left_ns);
            ++at;
            continue;
        }
        at = commits_since_.erase(at);
        if (waiting == imports_waiting_.end()) continue;  // it began
        const Origin origin = *waiting;
        imports_waiting_.erase(waiting);
        failed_commits_.insert(command);
        fail_import(origin, "the image store is busy with another image since " +
                                std::to_string(limits::commit_wait_ns_max / 1'000'000'000) +
                                " seconds: try again when that is done");
    }
    commit_timer_ = 0;
    if (next_ns == INT64_MAX) return;
    commit_timer_ = host_.start_timer(
        next_ns,
        [](void* self, void*) noexcept { static_cast<StoragePlugin*>(self)->give_up_commits(); },
        nullptr);
}

bool StoragePlugin::start_commit(const Origin& origin, const Import& wanted) {
    const auto refuse = [&](const std::string& why) {
        // Its outcome is on its way to the log: not to be begun again meanwhile.
        failed_commits_.insert(origin.command_id);
        imports_waiting_.pop_front();
        fail_import(origin, why);
        return false;
    };
    if (!wanted.pause_error.empty()) return refuse(wanted.pause_error);
    const auto container = state_.containers.find(wanted.container);
    if (container == state_.containers.end() || container->second.removing)
        return refuse("No such container: " + short_id(wanted.container));
    const auto base = state_.images.find(container->second.image_id);
    if (base == state_.images.end())
        return refuse("No such image: " + container->second.image_id +
                      ", of which the container is");
    auto config = image::parse_image_config(base->second.config);
    if (!config) return refuse(config.error().message);
    sdk::Reading<schema::ContainerCommitRequested> requested(flat_bytes(wanted.commit));
    auto job = std::make_shared<CommitJob>();
    job->container = wanted.container;
    job->options.base = std::move(*config);
    take_over(job->options.base.config, *requested);
    for (const Layer& layer : base->second.layers)
        job->options.layer_bytes.push_back(layer.size_bytes);
    for (auto map : requested->getIdMaps())
        job->options.ids.push_back(
            {map.getGid(), map.getContainer(), map.getHost(), map.getCount()});
    job->options.changes = to_strings(requested->getChanges());
    job->options.author = to_string(requested->getAuthor());
    job->options.comment = to_string(requested->getMessage());
    job->options.name = to_string(requested->getReference());
    job->options.created = rfc3339(host_.realtime_ns());
    job->options.created_by = joined(to_strings(requested->getCommand()));
    auto made = std::make_shared<Result<image::ImportedImage>>();
    const bool started = host_.offload(
        [sys = sys_, job, made] { *made = sys->commit(*job); },
        [this, origin, made] {
            Result<std::vector<image::ImportedImage>> images;
            if (*made) images->push_back(std::move(**made));
            else images = std::unexpected(made->error());
            finish_import(origin, std::move(images));
        });
    if (!started) return false;
    importing_ = origin.command_id;
    imports_waiting_.pop_front();
    return true;
}

}  // namespace noded::storage
