// See image_json.h.
#include "tools/nodectl/image_json.h"

#include <algorithm>

#include "tools/nodectl/table.h"
#include "tools/nodectl/units.h"

namespace noded::nodectl {

std::pair<std::string, std::string> split_image_name(const std::string& name) {
    const size_t slash = name.rfind('/');
    const size_t colon = name.rfind(':');
    if (colon == std::string::npos || (slash != std::string::npos && colon < slash))
        return {name, ""};
    return {name.substr(0, colon), name.substr(colon + 1)};
}

std::vector<Row> image_rows(const schema::Image::Reader& image, bool truncate, int64_t now_ns) {
    const std::string id = image.getId().cStr();
    const auto row = [&](const std::string& repository, const std::string& tag) {
        Row result;
        result.fields = {
            {"Containers", std::to_string(image.getContainers().size())},
            {"CreatedAt", local_time(image.getCreatedNs())},
            {"CreatedSince", human_duration((now_ns - image.getCreatedNs()) / kSecondNs) + " ago"},
            {"Digest", "<none>"},
            {"ID", truncate ? short_id(id) : id},
            {"Repository", repository},
            {"SharedSize", "N/A"},
            {"Size", human_size(image.getSizeBytes())},
            {"Tag", tag},
            {"UniqueSize", "N/A"},
            {"VirtualSize", human_size(image.getSizeBytes())},
        };
        return result;
    };
    std::vector<Row> rows;
    for (const auto name : image.getNames()) {
        const auto [repository, tag] = split_image_name(name.cStr());
        rows.push_back(row(repository, tag.empty() ? "<none>" : tag));
    }
    if (rows.empty()) rows.push_back(row("<none>", "<none>"));
    return rows;
}

namespace {

/// A member of the OCI config, or `otherwise`.
Json member(const Json& config, const char* name, Json otherwise) {
    return config.is_object() && config.contains(name) ? config.at(name) : otherwise;
}

/// The image's own, with all that docker shows of one: templates ask for what is not set, too.
Json whole_config(const Json& config) {
    Json whole = {
        {"Hostname", ""},       {"Domainname", ""},  {"User", ""},
        {"AttachStdin", false}, {"AttachStdout", false}, {"AttachStderr", false},
        {"Tty", false},         {"OpenStdin", false},    {"StdinOnce", false},
        {"Env", nullptr},       {"Cmd", nullptr},        {"Image", ""},
        {"Volumes", nullptr},   {"WorkingDir", ""},      {"Entrypoint", nullptr},
        {"OnBuild", nullptr},   {"Labels", nullptr},
    };
    if (config.is_object()) whole.update(config);
    return whole;
}

}  // namespace

Json image_json(const schema::Image::Reader& image) {
    // The config is data of the image's maker: it may be anything, but it was parsed once when the
    // image was added.
    const Json config = Json::parse(image.getConfig().cStr(), nullptr, /*allow_exceptions=*/false);
    Json names = Json::array();
    for (const auto name : image.getNames()) names.push_back(name.cStr());
    Json layers = Json::array();
    for (const auto layer : image.getLayers()) layers.push_back(layer.cStr());
    std::string comment;
    const Json history = member(config, "history", Json::array());
    if (history.is_array() && !history.empty()) {
        const Json last = member(history.back(), "comment", "");
        if (last.is_string()) comment = last.get<std::string>();
    }
    Json out = {
        {"Id", image.getId().cStr()},
        {"RepoTags", std::move(names)},
        {"RepoDigests", Json::array()},
        {"Parent", ""},
        {"Comment", std::move(comment)},
        {"Created", member(config, "created", rfc3339_short(image.getCreatedNs()))},
        {"DockerVersion", ""},
        {"Author", member(config, "author", "")},
        {"Config", whole_config(member(config, "config", Json::object()))},
        {"Architecture", member(config, "architecture", "")},
        {"Os", member(config, "os", "")},
        {"Size", image.getSizeBytes()},
        {"VirtualSize", image.getSizeBytes()},
        {"GraphDriver", {{"Data", nullptr}, {"Name", "overlay2"}}},
        {"RootFS", {{"Type", "layers"}, {"Layers", std::move(layers)}}},
        {"Metadata", {{"LastTagTime", "0001-01-01T00:00:00Z"}}},
    };
    if (const Json variant = member(config, "variant", ""); variant != "") out["Variant"] = variant;
    return out;
}

namespace {

std::string text_member(const Json& object, const char* name) {
    const Json value = member(object, name, "");
    return value.is_string() ? value.get<std::string>() : std::string();
}

Row history_row(const Json& step, const std::string& id, uint64_t bytes, const HistoryForm& form) {
    constexpr size_t created_by_width = 45;
    const std::string created = text_member(step, "created");
    const auto time_ns = parse_time(created, form.now_ns);
    const std::string since =
        !time_ns ? "N/A" : human_duration((form.now_ns - *time_ns) / kSecondNs) + " ago";
    std::string by = text_member(step, "created_by");
    std::ranges::replace(by, '\t', ' ');
    Row row;
    row.fields = {
        {"Comment", text_member(step, "comment")},
        {"CreatedAt", time_ns ? rfc3339_short(*time_ns) : ""},
        {"CreatedBy", form.truncate ? ellipsis(by, created_by_width) : by},
        {"CreatedSince", form.human || !time_ns ? since : rfc3339_short(*time_ns)},
        {"ID", id.empty() ? "<missing>" : form.truncate ? short_id(id) : id},
        {"Size", form.human ? human_size(bytes) : std::to_string(bytes)},
    };
    return row;
}

}  // namespace

std::vector<Row> history_rows(const schema::Image::Reader& image, const HistoryForm& form) {
    const Json config = Json::parse(image.getConfig().cStr(), nullptr, /*allow_exceptions=*/false);
    const Json history = member(config, "history", Json::array());
    if (!history.is_array()) return {};
    const auto layers = image.getLayerBytes();
    std::vector<Row> rows;
    unsigned layer = 0;
    for (size_t i = 0; i < history.size(); ++i) {
        const bool empty = member(history[i], "empty_layer", false) == true;
        const uint64_t bytes = empty || layer >= layers.size() ? 0 : layers[layer++];
        const bool last = i + 1 == history.size();
        rows.push_back(history_row(history[i], last ? image.getId().cStr() : "", bytes, form));
    }
    std::ranges::reverse(rows);
    return rows;
}

}  // namespace noded::nodectl
