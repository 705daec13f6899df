// Parse and print of the image config, see image_config.h. nlohmann-json throws on a wrong type, so
// every value's type is asked for before it is read; nothing here relies on its exceptions.
#include "plugins/storage/image/image_config.h"

#include <algorithm>

#include "plugins/storage/image/digest.h"
#include "plugins/storage/image/healthcheck.h"
#include "plugins/storage/image/json.h"
#include "plugins/storage/image/limits.h"

namespace noded::image {
namespace {

std::unexpected<Error> wrong(std::string_view field, std::string_view what) {
    return fail("image config: " + std::string(field) + " " + std::string(what));
}

/// What a NUL would do to a string that later goes to execve(2) or mount(2) is never what its
/// author meant.
Status check_string(const std::string& text, std::string_view field) {
    if (text.size() > limits::config_string_bytes_max)
        return wrong(field, "has a string of more than 131072 bytes");
    if (text.find('\0') != std::string::npos) return wrong(field, "has a string with a NUL byte");
    return {};
}

Status read_string(const Json& object, const char* key, std::string& out) {
    const Json& value = json_member(object, key);
    if (value.is_null()) return {};
    if (!value.is_string()) return wrong(key, "is not a string");
    out = value.get_ref<const std::string&>();
    return check_string(out, key);
}

Status read_strings(const Json& object, const char* key, std::vector<std::string>& out) {
    const Json& value = json_member(object, key);
    if (value.is_null()) return {};
    if (!value.is_array()) return wrong(key, "is not an array of strings");
    if (value.size() > limits::config_strings_max) return wrong(key, "has more than 4096 elements");
    for (const Json& element : value) {
        if (!element.is_string()) return wrong(key, "is not an array of strings");
        out.push_back(element.get_ref<const std::string&>());
        TRY_STATUS(check_string(out.back(), key));
    }
    return {};
}

/// The keys of an object whose values mean nothing: {"80/tcp": {}}.
Status read_keys(const Json& object, const char* key, std::vector<std::string>& out) {
    const Json& value = json_member(object, key);
    if (value.is_null()) return {};
    if (!value.is_object()) return wrong(key, "is not an object");
    if (value.size() > limits::config_strings_max) return wrong(key, "has more than 4096 members");
    for (auto& [name, ignored] : value.items()) {
        TRY_STATUS(check_string(name, key));
        out.push_back(name);
    }
    return {};
}

Status read_labels(const Json& object, std::map<std::string, std::string>& out) {
    const Json& value = json_member(object, "Labels");
    if (value.is_null()) return {};
    if (!value.is_object()) return wrong("Labels", "is not an object");
    if (value.size() > limits::config_strings_max)
        return wrong("Labels", "has more than 4096 members");
    for (auto& [name, text] : value.items()) {
        if (!text.is_string()) return wrong("Labels", "has a value that is not a string");
        out[name] = text.get_ref<const std::string&>();
        TRY_STATUS(check_string(name, "Labels"));
        TRY_STATUS(check_string(out[name], "Labels"));
    }
    return {};
}

Status read_runtime(const Json& object, RuntimeConfig& out) {
    TRY_STATUS(read_strings(object, "Env", out.env));
    TRY_STATUS(read_strings(object, "Cmd", out.cmd));
    TRY_STATUS(read_strings(object, "Entrypoint", out.entrypoint));
    TRY_STATUS(read_string(object, "WorkingDir", out.working_dir));
    TRY_STATUS(read_string(object, "User", out.user));
    TRY_STATUS(read_keys(object, "ExposedPorts", out.exposed_ports));
    TRY_STATUS(read_keys(object, "Volumes", out.volumes));
    TRY_STATUS(read_labels(object, out.labels));
    TRY_STATUS(read_string(object, "StopSignal", out.stop_signal));
    TRY_STATUS(read_strings(object, "Shell", out.shell));
    TRY_STATUS(read_strings(object, "OnBuild", out.on_build));
    const Json& health = json_member(object, "Healthcheck");
    if (health.is_null()) return {};
    if (!health.is_object()) return wrong("Healthcheck", "is not an object");
    out.healthcheck = health.dump();
    return {};
}

Status read_history(const Json& object, std::vector<HistoryLine>& out) {
    const Json& value = json_member(object, "history");
    if (value.is_null()) return {};
    if (!value.is_array()) return wrong("history", "is not an array");
    if (value.size() > limits::config_strings_max)
        return wrong("history", "has more than 4096 elements");
    for (const Json& element : value) {
        if (!element.is_object()) return wrong("history", "has an element that is not an object");
        HistoryLine line;
        TRY_STATUS(read_string(element, "created", line.created));
        TRY_STATUS(read_string(element, "created_by", line.created_by));
        TRY_STATUS(read_string(element, "comment", line.comment));
        const Json& empty = json_member(element, "empty_layer");
        if (!empty.is_null() && !empty.is_boolean())
            return wrong("empty_layer", "is not a boolean");
        line.empty_layer = empty.is_boolean() && empty.get<bool>();
        out.push_back(std::move(line));
    }
    return {};
}

Status read_rootfs(const Json& object, std::vector<std::string>& diff_ids) {
    const Json& rootfs = json_member(object, "rootfs");
    if (!rootfs.is_object()) return wrong("rootfs", "is missing or not an object");
    const Json& type = json_member(rootfs, "type");
    if (!type.is_string() || type.get_ref<const std::string&>() != "layers")
        return wrong("rootfs.type", "is not \"layers\"");
    TRY_STATUS(read_strings(rootfs, "diff_ids", diff_ids));
    if (diff_ids.size() > limits::layers_per_image_max)
        return wrong("rootfs.diff_ids", "names more than 127 layers");
    for (const std::string& id : diff_ids)
        if (auto hex = digest_hex(id); !hex) return wrong("rootfs.diff_ids", hex.error().message);
    return {};
}

Json keys_to_json(const std::vector<std::string>& keys) {
    Json object = Json::object();
    for (const std::string& key : keys) object[key] = Json::object();
    return object;
}

Json runtime_json(const RuntimeConfig& config) {
    Json out = Json::object();
    if (!config.env.empty()) out["Env"] = config.env;
    if (!config.cmd.empty()) out["Cmd"] = config.cmd;
    if (!config.entrypoint.empty()) out["Entrypoint"] = config.entrypoint;
    if (!config.working_dir.empty()) out["WorkingDir"] = config.working_dir;
    if (!config.user.empty()) out["User"] = config.user;
    if (!config.exposed_ports.empty()) out["ExposedPorts"] = keys_to_json(config.exposed_ports);
    if (!config.volumes.empty()) out["Volumes"] = keys_to_json(config.volumes);
    if (!config.labels.empty()) out["Labels"] = config.labels;
    if (!config.stop_signal.empty()) out["StopSignal"] = config.stop_signal;
    if (!config.shell.empty()) out["Shell"] = config.shell;
    if (!config.on_build.empty()) out["OnBuild"] = config.on_build;
    Json health = parse_json(config.healthcheck, "Healthcheck").value_or(Json());
    if (health.is_object()) out["Healthcheck"] = std::move(health);
    return out;
}

// `import --change` instructions.

std::string_view trim(std::string_view text) {
    size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

/// Splits at blanks outside quotes and takes the quotes away; a backslash protects the next
/// character.
Result<std::vector<std::string>> split_words(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    bool inside = false;
    char quote = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
            word += text[++i];
            inside = true;
        } else if (quote != 0) {
            if (c == quote) quote = 0;
            else word += c;
        } else if (c == '"' || c == '\'') {
            quote = c;
            inside = true;
        } else if (c == ' ' || c == '\t') {
            if (inside) words.push_back(std::exchange(word, {}));
            inside = false;
        } else {
            word += c;
            inside = true;
        }
    }
    if (quote != 0) return fail("a quote is not closed");
    if (inside) words.push_back(std::move(word));
    return words;
}

/// A JSON array of strings as it stands, anything else run by a shell, as in a Dockerfile.
std::vector<std::string> command_form(std::string_view text) {
    std::vector<std::string> words = exec_form(text);
    if (words.empty()) words = {"/bin/sh", "-c", std::string(text)};
    return words;
}

/// "A=1 B=2", or the old form "A 1".
Result<std::vector<std::pair<std::string, std::string>>> read_pairs(std::string_view text) {
    std::vector<std::string> words = TRY(split_words(text));
    std::vector<std::pair<std::string, std::string>> pairs;
    if (!words.empty() && words[0].find('=') == std::string::npos) {
        if (words.size() < 2) return fail("\"" + words[0] + "\" has no value");
        pairs.emplace_back(words[0], trim(text.substr(text.find_first_of(" \t"))));
        return pairs;
    }
    for (const std::string& word : words) {
        size_t equals = word.find('=');
        if (equals == 0 || equals == std::string::npos)
            return fail("\"" + word + "\" is not of the form NAME=VALUE");
        pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
    return pairs;
}

void set_env(std::vector<std::string>& env, const std::string& name, const std::string& value) {
    for (std::string& line : env) {
        if (!line.starts_with(name + "=")) continue;
        line = name + "=" + value;
        return;
    }
    env.push_back(name + "=" + value);
}

void add_once(std::vector<std::string>& list, const std::string& text) {
    if (std::ranges::find(list, text) == list.end()) list.push_back(text);
}

Status apply(RuntimeConfig& config, const std::string& verb, std::string_view rest) {
    if (verb == "CMD") {
        config.cmd = command_form(rest);
        config.cmd_changed = true;
    } else if (verb == "ENTRYPOINT") {
        config.entrypoint = command_form(rest);
        if (!config.cmd_changed) config.cmd.clear();
    } else if (verb == "ENV") {
        for (auto& [name, value] : TRY(read_pairs(rest))) set_env(config.env, name, value);
    } else if (verb == "LABEL") {
        for (auto& [name, value] : TRY(read_pairs(rest))) config.labels[name] = value;
    } else if (verb == "EXPOSE") {
        for (const std::string& port : TRY(split_words(rest)))
            add_once(config.exposed_ports,
                     port.find('/') == std::string::npos ? port + "/tcp" : port);
    } else if (verb == "VOLUME") {
        bool array = rest.starts_with('[');
        for (const std::string& path : array ? command_form(rest) : TRY(split_words(rest)))
            add_once(config.volumes, path);
    } else if (verb == "USER") {
        config.user = rest;
    } else if (verb == "WORKDIR") {
        bool relative = !rest.starts_with('/');
        if (!relative) config.working_dir.clear();
        else if (!config.working_dir.ends_with('/')) config.working_dir += '/';
        config.working_dir += rest;
    } else if (verb == "STOPSIGNAL") {
        config.stop_signal = rest;
    } else if (verb == "HEALTHCHECK") {
        config.healthcheck = TRY(healthcheck_json(rest));
    } else if (verb == "ONBUILD") {
        config.on_build.emplace_back(rest);
    } else {
        return fail("the instruction is not known");
    }
    return {};
}

}  // namespace

Result<ImageConfig> parse_image_config(std::string_view text) {
    if (text.size() > limits::config_bytes_max)
        return wrong("its JSON", "has more than 524288 bytes");
    Json root = TRY(parse_json(text, "image config"));
    if (!root.is_object()) return wrong("it", "is not a JSON object");
    ImageConfig out;
    TRY_STATUS(read_string(root, "architecture", out.architecture));
    TRY_STATUS(read_string(root, "os", out.os));
    TRY_STATUS(read_string(root, "created", out.created));
    TRY_STATUS(read_string(root, "author", out.author));
    TRY_STATUS(read_rootfs(root, out.diff_ids));
    TRY_STATUS(read_history(root, out.history));
    const Json& config = json_member(root, "config");
    if (config.is_null()) return out;
    if (!config.is_object()) return wrong("config", "is not an object");
    TRY_STATUS(read_runtime(config, out.config));
    return out;
}

std::string image_config_json(const ImageConfig& config) {
    Json out = {{"architecture", config.architecture},
                {"os", config.os},
                {"config", runtime_json(config.config)},
                {"rootfs", {{"type", "layers"}, {"diff_ids", config.diff_ids}}}};
    if (!config.created.empty()) out["created"] = config.created;
    if (!config.author.empty()) out["author"] = config.author;
    Json history = Json::array();
    for (const HistoryLine& line : config.history) {
        Json element = Json::object();
        if (!line.created.empty()) element["created"] = line.created;
        if (!line.created_by.empty()) element["created_by"] = line.created_by;
        if (!line.comment.empty()) element["comment"] = line.comment;
        if (line.empty_layer) element["empty_layer"] = true;
        history.push_back(std::move(element));
    }
    out["history"] = std::move(history);
    return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Status apply_change(RuntimeConfig& config, std::string_view instruction) {
    std::string_view text = trim(instruction);
    size_t blank = text.find_first_of(" \t");
    std::string verb(text.substr(0, blank));
    for (char& c : verb) c = (c >= 'a' && c <= 'z') ? char(c - 'a' + 'A') : c;
    std::string_view rest = blank == std::string_view::npos ? "" : trim(text.substr(blank));
    std::string doing = "change \"" + std::string(text.substr(0, 200)) + "\"";
    if (rest.empty()) return fail(doing + ": the instruction has no argument");
    if (text.find('\0') != std::string_view::npos) return fail(doing + ": it has a NUL byte");
    if (auto done = apply(config, verb, rest); !done) return context(done.error(), doing);
    return {};
}

}  // namespace noded::image
