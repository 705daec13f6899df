// nodectl completion: the script of a shell; nodectl __complete: what that asks for; nodectl man.
//
// __complete prints one candidate a line, its description behind a tab, and ends with 3 where a
// path may stand, too.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>

#include "tools/nodectl/completion.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/files.h"
#include "tools/nodectl/output.h"

namespace noded::nodectl {
namespace {

constexpr int kFilesToo = 3;

/// A shell waits for the answer: a node that cannot be asked has no names.
class NamesOfNode final : public Names {
public:
    explicit NamesOfNode(Session& session) : session_(&session) {}

    void ask(const std::string& host, const remote::TlsFiles& files) override {
        other_ = std::make_unique<Session>(host);
        other_->set_tls_files(files);
        session_ = other_.get();
    }
    std::vector<std::string> containers(Which which) override {
        std::vector<std::string> names;
        if (!session_->connect()) return names;
        const auto list = ContainerList::fetch(*session_);
        if (!list) return names;
        for (const auto state : list->states()) {
            const bool running = state.getPhase() == schema::Phase::RUNNING;
            if (which == Which::all || running == (which == Which::running))
                names.emplace_back(state.getName().cStr());
        }
        return names;
    }
    std::vector<std::string> images() override {
        std::vector<std::string> names;
        if (!session_->connect()) return names;
        const auto answer = session_->wait(session_->storage().listImagesRequest().send());
        if (!answer) return names;
        for (const auto image : answer->getImages())
            for (const auto name : image.getNames()) names.emplace_back(name.cStr());
        return names;
    }
    std::vector<std::string> plugins() override {
        std::vector<std::string> names;
        if (!session_->connect()) return names;
        const auto answer = session_->wait(session_->node().pluginsRequest().send());
        if (!answer) return names;
        for (const auto plugin : answer->getPlugins()) names.emplace_back(plugin.getId().cStr());
        return names;
    }

    std::vector<std::string> machines() override {
        const char* home = getenv("HOME");
        if (home == nullptr) return {};
        const auto text = read_file(std::string(home) + "/.ssh/config");
        return text ? machines_in(*text) : std::vector<std::string>();
    }

private:
    Session* session_;
    std::unique_ptr<Session> other_;
};

}  // namespace

/// What a node says goes onto a command line: names as noded gives them, nothing that a shell reads
/// as more.
bool is_plain(const std::string& word) {
    return std::ranges::all_of(word, [](char c) {
        return isalnum(static_cast<unsigned char>(c)) != 0 || strchr("_.:/@=+-", c) != nullptr;
    });
}

int complete(Invocation& call) {
    constexpr unsigned kSecondsMax = 3;   // a shell waits: a node that does not answer has no names
    if (const auto status = call.parse({}, {.min = 1})) return *status;
    alarm(kSecondsMax);
    NamesOfNode names(call.session);
    const Candidates found = complete_line(call.arguments, call.globals, names);
    std::string out;
    for (const Candidate& candidate : found.words)
        if (is_plain(candidate.word))
            out += candidate.word + "\t" + candidate.description + "\n";
    print(out);
    return found.files ? kFilesToo : 0;
}

int completion(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 1, .max = 1})) return *status;
    print(OR_FAIL(call, completion_script(call.arguments[0])));
    return 0;
}

int man(Invocation& call) {
    if (const auto status = call.parse({}, {.max = 0})) return *status;
    print(manual_page(call.globals));
    return 0;
}

}  // namespace noded::nodectl
