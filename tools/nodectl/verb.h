// Verb: one line of the table in verbs.cc, and Invocation: one use of it. Every verb has a file of
// its own with one function `int VERB(Invocation&)` that returns the exit status.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/nodectl/options.h"
#include "tools/nodectl/output.h"
#include "tools/nodectl/session.h"

namespace noded::nodectl {

constexpr int kFailed = 1;
constexpr int kRunFailed = 125;  ///< nodectl or noded failed, not the command in the container
/// An unknown option or a wrong value of one, with any verb; a wrong number of arguments is
/// kFailed.
constexpr int kWrongFlag = 125;

class Invocation;

/// What a verb does with a node that is asked as it was (--at).
enum class Past {
    changes,   ///< nothing, because it changes something
    live,      ///< nothing, because the log does not hold what it shows
    answers
};

struct Verb {
    const char* spellings;    ///< separated by commas, the first is the main one: "ps,container ls"
    const char* usage;        ///< "[OPTIONS] CONTAINER [CONTAINER...]"
    const char* description;  ///< one line; nullptr hides it: for programs, not for people
    int (*function)(Invocation&);
    int failure = kFailed;      ///< exit status for a command that noded refused
    Order order = Order::anywhere;
    bool local = false;       ///< needs no noded

    std::string main_spelling() const;
    Past past() const;
    /// Each of them: "rm", "container rm".
    std::vector<std::string> all_spellings() const;
};

/// The table of all verbs, in the order of the help text.
std::span<const Verb> verbs();

struct FoundVerb {
    const Verb* verb = nullptr;   ///< nullptr: there is none
    std::string spelling;
    size_t words = 0;
};

/// The verb that the first one or two words name.
FoundVerb find_verb(std::span<const std::string> words);
/// Verbs are spelled "GROUP …" too.
bool is_group(std::string_view word);

/// An option as the help shows it.
struct OptionText {
    char letter = 0;
    std::string name;
    std::string value_name;   ///< empty: a flag
    std::string help;         ///< empty: hidden, and nobody is told of it
};

/// By name, the hidden ones last.
std::vector<OptionText> option_texts(std::span<const Option> options);
/// What the verb reads, and --help.
std::vector<OptionText> options_of(const Verb& verb);

struct Arity {
    size_t min = 0;
    size_t max = SIZE_MAX;
};

class Invocation {
public:
    Invocation(const Verb& verb, std::string spelling, std::vector<std::string> arguments,
               Session& session)
        : verb(verb),
          spelling(std::move(spelling)),
          arguments(std::move(arguments)),
          session(session) {}

    /// Reads the options; `arguments` keeps what is not one. A status: help was printed, or the
    /// command line is wrong and that was said.
    std::optional<int> parse(std::span<const Option> options, Arity arity);

    /// Says "Error: MESSAGE" and gives the status of a failure of this verb; what is about the
    /// value of an option is said as parse says it.
    int failed(const Error& error) const;

    const Verb& verb;
    std::string spelling;  ///< as the user wrote it: "container ls"
    std::vector<std::string> arguments;
    std::vector<std::string> words;    ///< all of them, as they were before parse
    Session& session;
    std::span<const Option> globals;   ///< what stands before the verb
    /// Not nullptr: nobody wants anything done, parse tells its options here and that is all.
    std::vector<OptionText>* described = nullptr;

private:
    int wrong(const std::string& message) const;
};

/// Unwraps a Result, or says its error and returns the failure status from the verb.
#define OR_FAIL(call, expression)                                     \
    ({                                                                \
        auto or_fail_ = (expression);                                 \
        if (!or_fail_) return (call).failed(or_fail_.error());        \
        std::move(*or_fail_);                                         \
    })

#define OR_FAIL_STATUS(call, expression)                              \
    do {                                                              \
        auto or_fail_ = (expression);                                 \
        if (!or_fail_) return (call).failed(or_fail_.error());        \
    } while (0)

// The verbs, each in the file of its name.
int attach(Invocation&);
int call_plugin(Invocation&);
int commit(Invocation&);
int complete(Invocation&);
int completion(Invocation&);
int container_prune(Invocation&);
int cp(Invocation&);
int create(Invocation&);
int dial_stdio(Invocation&);
int diff(Invocation&);
int events(Invocation&);
int events_diff(Invocation&);
int exec(Invocation&);
int export_container(Invocation&);
int history(Invocation&);
int image_import(Invocation&);
int image_load(Invocation&);
int image_prune(Invocation&);
int image_save(Invocation&);
int images(Invocation&);
int info(Invocation&);
int inspect(Invocation&);
int inspect_container(Invocation&);
int inspect_image(Invocation&);
int keygen(Invocation&);
int kill_container(Invocation&);
int logs(Invocation&);
int man(Invocation&);
int pause_container(Invocation&);
int plugin_inspect(Invocation&);
int plugin_ls(Invocation&);
int port(Invocation&);
int ps(Invocation&);
int rename_container(Invocation&);
int restart(Invocation&);
int rm(Invocation&);
int rmi(Invocation&);
int run(Invocation&);
int serve(Invocation&);
int start(Invocation&);
int stats(Invocation&);
int stop(Invocation&);
int subscribe(Invocation&);
int system_prune(Invocation&);
int tag(Invocation&);
int top(Invocation&);
int unpause_container(Invocation&);
int update(Invocation&);
int version(Invocation&);
int wait_container(Invocation&);

}  // namespace noded::nodectl
