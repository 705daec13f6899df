// nodectl container prune, image prune and system prune: remove what nothing uses, after a
// question.
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "tools/nodectl/container_call.h"
#include "tools/nodectl/filters.h"
#include "tools/nodectl/image_call.h"
#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

constexpr std::string_view kKeys[] = {"label", "label!", "until"};
constexpr std::string_view kImageKeys[] = {"dangling", "label", "label!", "until"};
constexpr const char* kStoppedContainers = "all stopped containers";
constexpr const char* kDanglingImages = "all dangling images";
constexpr const char* kUnusedImages =
    "all images without at least one container associated to them";

struct PruneOptions {
    bool all = false;
    bool force = false;
    bool volumes = false;  ///< anonymous ones go with their containers, and there are no others
    std::vector<std::string> filters;
};

/// What may be pruned: older than `until_ns`, labels as asked.
struct Choice {
    int64_t until_ns = INT64_MAX;
    Filters filters;

    /// `has` says whether the thing has a label.
    bool takes(int64_t created_ns, const std::function<bool(const std::string&)>& has) const {
        return created_ns <= until_ns && filters.all("label", has) &&
               filters.all("label!", [&](const std::string& label) { return !has(label); });
    }
};

Result<Choice> choice_of(const PruneOptions& options, std::span<const std::string_view> keys) {
    Choice choice;
    choice.filters = TRY(Filters::parse(options.filters, keys));
    const auto until = choice.filters.of("until");
    if (until.size() > 1) return fail("more than one until filter specified");
    if (until.empty()) return choice;
    auto time = parse_unix_time(until[0]);
    if (!time) time = parse_time(until[0], now_ns());
    if (!time)
        return fail("invalid filter 'until=" + until[0] +
                    "': it is a time (2013-01-02T13:23:37Z), seconds since 1970 or a duration "
                    "ago (24h)");
    choice.until_ns = *time;
    return choice;
}

/// Docker's question; anything but y is a no.
bool confirmed(const std::string& warning) {
    print(warning + "Are you sure you want to continue? [y/N] ");
    std::string answer;
    for (char c = 0; read(STDIN_FILENO, &c, 1) == 1 && c != '\n';)
        if (answer.size() < 16) answer += c;
    while (!answer.empty() && isspace(static_cast<unsigned char>(answer.back()))) answer.pop_back();
    return answer == "y" || answer == "Y";
}

struct Pruned {
    std::string text;
    uint64_t bytes = 0;
    Status status;   ///< the first failure; what went well stands all the same

    /// Whether a removal went well. One that failed because its thing is in use, or gone, is no
    /// failure: what somebody began to use meanwhile stays.
    template <typename T>
    bool took(const Result<T>& done) {
        if (!done && !Session::is_in_use(done.error()) && status)
            status = std::unexpected(done.error());
        return done.has_value();
    }
};

/// Removals under way, so many at once that a node with thousands is asked in bounded pieces.
template <typename One, typename Finish>
class Removals {
public:
    explicit Removals(Finish finish) : finish_(std::move(finish)) {}

    void add(One one) {
        under_way_.push_back(std::move(one));
        if (under_way_.size() == under_way_max) finish_first();
    }
    void finish() {
        while (!under_way_.empty()) finish_first();
    }

private:
    static constexpr size_t under_way_max = 64;

    void finish_first() {
        One first = std::move(under_way_.front());
        under_way_.pop_front();
        finish_(std::move(first));
    }

    Finish finish_;
    std::deque<One> under_way_;
};

Result<Pruned> prune_containers(Session& session, const Choice& choice) {
    const ContainerList list = TRY(ContainerList::fetch(session));
    Pruned pruned;
    const auto finish = [&](Batch::One one) {
        if (pruned.took(session.wait_caused(std::move(*one.submitted))) &&
            pruned.took(session.wait(kj::mv(*one.waited))))
            pruned.text += one.name + "\n";
    };
    Removals<Batch::One, decltype(finish)> removals(finish);
    for (const auto state : list.states()) {
        const bool stopped = state.getPhase() == schema::Phase::CREATED ||
                             state.getPhase() == schema::Phase::EXITED;
        const auto has = [&](const std::string& label) {
            return container_has_label(state, label);
        };
        if (!stopped || !choice.takes(state.getCreatedNs(), has)) continue;
        const std::string id = state.getId().cStr();
        Payload<schema::RemoveContainer> command;
        command.root.setContainer(id);
        auto waited = send_wait(session, id, Until::REMOVED);
        removals.add({id, session.submit(mint_command_id(), command), std::move(waited)});
    }
    removals.finish();
    if (!pruned.text.empty()) pruned.text = "Deleted Containers:\n" + pruned.text + "\n";
    return pruned;
}

/// By name where it has names: an id with several of them would need force.
std::vector<Submitted> send_removal(Session& session, const schema::Image::Reader& image) {
    std::vector<Submitted> sent;
    const auto send = [&](capnp::Text::Reader reference) {
        Payload<schema::RemoveImage> command;
        command.root.setReference(reference);
        sent.push_back(session.submit(mint_command_id(), command));
    };
    for (const auto name : image.getNames()) send(name);
    if (sent.empty()) send(image.getId());
    return sent;
}

/// Bytes of the layers that only images of `deleted` had.
uint64_t freed_bytes(const std::vector<schema::Image::Reader>& images,
                     const std::set<std::string>& deleted) {
    std::map<std::string, uint64_t> freed;
    const auto each_layer = [&](bool gone, const auto& use) {
        for (const auto& image : images) {
            if (deleted.contains(image.getId().cStr()) != gone) continue;
            for (unsigned i = 0; i < image.getLayers().size(); i++)
                use(image.getLayers()[i].cStr(), i < image.getLayerBytes().size()
                                                     ? image.getLayerBytes()[i]
                                                     : uint64_t{0});
        }
    };
    each_layer(true, [&](const char* layer, uint64_t bytes) { freed[layer] = bytes; });
    each_layer(false, [&](const char* layer, uint64_t) { freed.erase(layer); });
    uint64_t sum = 0;
    for (const auto& [layer, bytes] : freed) sum += bytes;
    return sum;
}

Result<Pruned> prune_images(Session& session, const Choice& choice, bool all) {
    const WholeImages whole = TRY(WholeImages::fetch(session));
    const auto images = whole.images();
    Pruned pruned;
    std::set<std::string> deleted;
    const auto finish = [&](Submitted one) {
        const auto done = session.wait_caused(std::move(one));
        if (!pruned.took(done)) return;
        const auto gone = images_gone(session, *done);
        if (!pruned.took(gone)) return;
        for (const std::string& name : gone->untagged) pruned.text += "untagged: " + name + "\n";
        for (const std::string& id : gone->deleted) pruned.text += "deleted: " + id + "\n";
        deleted.insert(gone->deleted.begin(), gone->deleted.end());
    };
    Removals<Submitted, decltype(finish)> removals(finish);
    for (const auto& image : images) {
        const auto has = [&](const std::string& label) { return image_has_label(image, label); };
        const bool unused = image.getContainers().size() == 0;
        if (!unused || (!all && image.getNames().size() > 0)) continue;
        if (!choice.takes(image.getCreatedNs(), has)) continue;
        for (Submitted& one : send_removal(session, image)) removals.add(std::move(one));
    }
    removals.finish();
    pruned.bytes = freed_bytes(images, deleted);
    if (!pruned.text.empty()) pruned.text = "Deleted Images:\n" + pruned.text + "\n";
    return pruned;
}

/// Prints what is gone, also when something failed; returns the exit status.
int tell(Invocation& call, const Pruned& containers, const Pruned& images = {}) {
    print(containers.text);
    print(images.text);
    print("Total reclaimed space: " + human_size(containers.bytes + images.bytes) + "\n");
    if (!containers.status) return call.failed(containers.status.error());
    if (!images.status) return call.failed(images.status.error());
    return 0;
}

std::string system_warning(const PruneOptions& options) {
    std::string text = std::string("WARNING! This will remove:\n  - ") + kStoppedContainers +
                       "\n  - " + (options.all ? kUnusedImages : kDanglingImages) + "\n\n";
    if (options.filters.empty()) return text;
    text += "  Items to be pruned will be filtered with:\n";
    for (const std::string& filter : options.filters) text += "  - " + filter + "\n";
    return text + "\n";
}

/// Of the prunes that take images.
std::optional<int> parse(Invocation& call, PruneOptions& options, bool of_system) {
    std::vector<Option> table = {
        {'a', "all", &options.all, "", "Remove all unused images, not just dangling ones"},
        {0, "filter", &options.filters, "filter",
         "Provide filter values (until=TIMESTAMP, label=KEY[=VALUE], label!=KEY[=VALUE])"},
        {'f', "force", &options.force, "", "Do not prompt for confirmation"},
    };
    if (of_system)
        table.push_back({0, "volumes", &options.volumes, "",
                         "Prune anonymous volumes too (they always go with their containers)"});
    return call.parse(table, {.max = 0});
}

}  // namespace

int container_prune(Invocation& call) {
    PruneOptions options;
    const Option table[] = {
        {0, "filter", &options.filters, "filter",
         "Provide filter values (until=TIMESTAMP, label=KEY[=VALUE], label!=KEY[=VALUE])"},
        {'f', "force", &options.force, "", "Do not prompt for confirmation"},
    };
    if (const auto status = call.parse(table, {.max = 0})) return *status;
    const Choice choice = OR_FAIL(call, choice_of(options, kKeys));
    Pruned pruned;
    if (options.force ||
        confirmed("WARNING! This will remove " + std::string(kStoppedContainers) + ".\n"))
        pruned = OR_FAIL(call, prune_containers(call.session, choice));
    return tell(call, pruned);
}

int image_prune(Invocation& call) {
    PruneOptions options;
    if (const auto status = parse(call, options, false)) return *status;
    const Choice choice = OR_FAIL(call, choice_of(options, kImageKeys));
    for (const std::string& dangling : choice.filters.of("dangling"))
        options.all = options.all || dangling == "false" || dangling == "0";
    Pruned pruned;
    if (options.force || confirmed(std::string("WARNING! This will remove ") +
                                   (options.all ? kUnusedImages : kDanglingImages) + ".\n"))
        pruned = OR_FAIL(call, prune_images(call.session, choice, options.all));
    return tell(call, pruned);
}

int system_prune(Invocation& call) {
    PruneOptions options;
    if (const auto status = parse(call, options, true)) return *status;
    const Choice choice = OR_FAIL(call, choice_of(options, kKeys));
    if (!options.force && !confirmed(system_warning(options))) return 0;
    const Pruned containers = OR_FAIL(call, prune_containers(call.session, choice));
    Pruned images;
    if (containers.status)
        images = OR_FAIL(call, prune_images(call.session, choice, options.all));
    return tell(call, containers, images);
}

}  // namespace noded::nodectl
