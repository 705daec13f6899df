// The manual page, made of the table of verbs and of the options that each of them reads.
#include <algorithm>

#include "agent/base/version.h"
#include "tools/nodectl/completion.h"

namespace noded::nodectl {
namespace {

/// As troff takes it literally.
std::string literal(std::string_view text) {
    std::string out;
    if (text.starts_with('.') || text.starts_with('\'')) out = "\\&";
    for (const char c : text) {
        if (c == '\\') out += "\\e";
        else if (c == '-') out += "\\-";
        else out += c;
    }
    return out;
}

std::string bold(std::string_view text) { return "\\fB" + literal(text) + "\\fR"; }

std::string options_text(const std::vector<OptionText>& options) {
    std::string out;
    for (const OptionText& option : options) {
        if (option.help.empty()) continue;
        out += ".TP\n";
        if (option.letter != 0) out += bold(std::string("-") + option.letter) + ", ";
        out += bold("--" + option.name);
        if (!option.value_name.empty()) out += " \\fI" + literal(option.value_name) + "\\fR";
        out += "\n" + literal(option.help) + "\n";
    }
    return out;
}

std::string verb_text(const Verb& verb) {
    const std::vector<std::string> spellings = verb.all_spellings();
    const std::string_view usage = verb.usage;
    const size_t end = std::min(usage.find('\n'), usage.size());
    std::string out = ".SS \"nodectl " + literal(spellings[0]) + " " +
                      literal(usage.substr(0, end)) + "\"\n";
    if (end < usage.size()) {
        const size_t text = usage.find_first_not_of(" \n", end);
        out += ".B " + literal(usage.substr(text)) + "\n.PP\n";
    }
    out += literal(verb.description) + ".\n";
    for (size_t i = 1; i < spellings.size(); ++i)
        out += (i == 1 ? "Also " : "or ") + bold("nodectl " + spellings[i]) +
               (i + 1 == spellings.size() ? ".\n" : "\n");
    return out + options_text(options_of(verb));
}

constexpr std::string_view kEnd = R"(.SH ENVIRONMENT
.TP
.B NODECTL_HOST
The noded to talk to, where
.B \-\-host
is not given.
.TP
.B NODECTL_CERT_PATH
The folder of ca.pem, cert.pem and key.pem for tcp:// hosts, instead of ~/.nodectl.
.SH FILES
.TP
.I /run/noded/noded.sock
Where noded is asked if nothing else is said.
.TP
.I ~/.nodectl
ca.pem, cert.pem and key.pem of this user, for tcp:// hosts.
.TP
.I /etc/noded/tls
The same of the node, for
.BR "nodectl serve" .
.SH "EXIT STATUS"
0 if all went well, 1 if not, 125 if a flag or an argument is wrong.
.BR run ,
.B exec
and
.B start -a
end as the command in the container does: with 126 if it cannot be executed, 127 if there is no
such command, 128 + n if signal n ended it; and
.B run
and
.B create
with 125 if nodectl or noded failed.
.SH "SEE ALSO"
.BR docker (1)
)";

}  // namespace

std::string manual_page(std::span<const Option> globals) {
    std::string out = ".TH NODECTL 1 \"\" \"noded " + literal(kVersion) + "\"";
    out += " \"User Commands\"\n";
    out += ".SH NAME\nnodectl \\- the command line of noded, the node agent\n";
    out += ".SH SYNOPSIS\n.B nodectl\n[OPTIONS] COMMAND [ARGUMENT...]\n";
    out += ".SH DESCRIPTION\nCommands, options and what they print are docker\\(aqs where docker ";
    out += "has them.\n.B nodectl\n\\fICOMMAND\\fR\n.B \\-\\-help\nprints what stands here.\n";
    out += ".SH \"GLOBAL OPTIONS\"\n" + options_text(option_texts(globals));
    out += ".SH COMMANDS\n";
    for (const Verb& verb : verbs())
        if (verb.description != nullptr) out += verb_text(verb);
    return out + std::string(kEnd);
}

}  // namespace noded::nodectl
