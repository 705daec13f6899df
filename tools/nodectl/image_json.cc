// See image_json.h.
#include "tools/nodectl/image_json.h"

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
        {"Comment", std::move(comment)},
        {"Created", member(config, "created", rfc3339_short(image.getCreatedNs()))},
        {"Author", member(config, "author", "")},
        {"Config", member(config, "config", Json::object())},
        {"Architecture", member(config, "architecture", "")},
        {"Os", member(config, "os", "")},
        {"Size", image.getSizeBytes()},
        {"RootFS", {{"Type", "layers"}, {"Layers", std::move(layers)}}},
    };
    if (const Json variant = member(config, "variant", ""); variant != "") out["Variant"] = variant;
    return out;
}

}  // namespace noded::nodectl
