// The transcript runner, see transcript.h. A file is cut into steps; a step is run and rendered;
// the renderings joined are the transcript as it is now.
#include "plugins/sdk/transcript.h"

#include <capnp/dynamic.h>
#include <capnp/message.h>
#include <capnp/serialize-text.h>
#include <kj/exception.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

namespace noded::sdk {
namespace {

const char* rejection_name(noded_rejection code) {
    switch (code) {
        case NODED_REJECT_INVALID: return "INVALID";
        case NODED_REJECT_NOT_FOUND: return "NOT_FOUND";
        case NODED_REJECT_CONFLICT: return "CONFLICT";
        case NODED_REJECT_DENIED: return "DENIED";
        case NODED_REJECT_LIMIT: return "LIMIT";
        case NODED_REJECT_BUSY: return "BUSY";
    }
    return "UNKNOWN";
}

/// "Name (fields)" → type and flat message.
struct Parsed {
    uint64_t type = 0;
    kj::Array<capnp::word> words;

    noded_bytes bytes() const {
        const auto raw = words.asBytes();
        return {raw.begin(), raw.size()};
    }
};

std::string parse(FakeHost& host, const std::string& text, Parsed& out) {
    const size_t space = text.find_first_of(" (");
    const std::string name = text.substr(0, space);
    out.type = host.type_named(name);
    if (out.type == 0) return "error: no schema has a type " + name;
    const std::string fields = space == std::string::npos ? "()" : text.substr(space);
    try {
        capnp::MallocMessageBuilder message;
        auto root = message.initRoot<capnp::DynamicStruct>(host.schemas().get(out.type).asStruct());
        capnp::TextCodec().decode(kj::StringPtr(fields.c_str(), fields.size()), root);
        out.words = capnp::messageToFlatArray(message);
    } catch (const kj::Exception& malformed) {
        return std::string("error: ") + malformed.getDescription().cStr();
    }
    return {};
}

std::string run_command(FakeHost& host, const std::string& text) {
    Parsed parsed;
    if (const std::string error = parse(host, text, parsed); !error.empty()) return error + "\n";
    const auto outcome = host.command(parsed.type, parsed.bytes());
    if (outcome.accepted) return {};
    return std::string("rejected ") + rejection_name(outcome.code) + ": " +
           host.anonymous(outcome.message) + "\n";
}

std::string run_event(FakeHost& host, const std::string& text) {
    Parsed parsed;
    if (const std::string error = parse(host, text, parsed); !error.empty()) return error + "\n";
    host.inject(parsed.type, parsed.bytes());
    return {};
}

std::string run_control(FakeHost& host, const std::string& text) {
    if (text == "restart") host.restart();
    else if (text == "snapshot") host.restart_from_snapshot();
    else if (text == "hold") host.hold_reactions(true);
    else if (text == "release") host.hold_reactions(false);
    else if (text.starts_with("advance ")) host.advance(atoll(text.c_str() + 8) * 1'000'000'000);
    else return "error: no such step\n";
    return {};
}

/// What a step brought about, one line each.
std::string run_step(FakeHost& host, const std::string& line) {
    const std::string text = line.size() > 2 ? line.substr(2) : "";
    uint64_t before = host.events().size();
    std::string said;
    switch (line[0]) {
        case '>': said = run_command(host, text); break;
        case '!':
            said = run_event(host, text);
            before += said.empty();  // the injected event itself stands in the step
            break;
        default: said = run_control(host, text); break;
    }
    return said + host.describe_since(before);
}

bool is_step(std::string_view line) {
    return line.starts_with("> ") || line.starts_with("! ") || line.starts_with("@ ");
}
bool is_remark(std::string_view line) { return line.empty() || line[0] == '#'; }

bool read_file(const char* path, std::string& into) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    into = text.str();
    return file.good() || file.eof();
}

/// The first line in which two texts differ, with both versions.
std::string first_difference(const std::string& expected, const std::string& happened) {
    std::istringstream left(expected);
    std::istringstream right(happened);
    std::string a;
    std::string b;
    for (int number = 1;; ++number) {
        const bool more_a = bool(std::getline(left, a));
        const bool more_b = bool(std::getline(right, b));
        if (!more_a && !more_b) return {};
        if (!more_a) a = "(end)";
        if (!more_b) b = "(end)";
        if (a == b) continue;
        return std::to_string(number) + ":\n  expected " + a + "\n  happened " + b + "\n";
    }
}

}  // namespace

std::string run_transcript(FakeHost& host, const std::string& text) {
    std::istringstream lines(text);
    std::string line;
    std::string result;
    while (std::getline(lines, line)) {
        if (is_step(line)) result += line + "\n" + run_step(host, line);
        else if (is_remark(line)) result += line + "\n";
        // Anything else is an expectation, and was rendered anew with its step.
    }
    return result;
}

int transcript_main(int argc, char** argv, const std::function<void(FakeHost&)>& prepare) {
    const bool update = argc > 1 && std::string_view(argv[1]) == "--update";
    int differing = 0;
    int first = update ? 2 : 1;
    if (first >= argc) {
        fprintf(stderr, "usage: %s [--update] FILE...\n", argv[0]);
        return 2;
    }
    for (int i = first; i < argc; ++i) {
        std::string text;
        if (!read_file(argv[i], text) || text.empty()) {
            fprintf(stderr, "%s cannot be read, or is empty\n", argv[i]);
            ++differing;
            continue;
        }
        FakeHost host;
        prepare(host);
        const std::string happened = run_transcript(host, text);
        if (update) {
            std::ofstream(argv[i]) << happened;
        } else if (happened != text) {
            fprintf(stderr, "%s:%s", argv[i], first_difference(text, happened).c_str());
            ++differing;
        }
    }
    return differing == 0 ? 0 : 1;
}

}  // namespace noded::sdk
