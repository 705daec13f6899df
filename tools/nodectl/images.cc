// nodectl images: the images of the node.
#include <fnmatch.h>

#include <algorithm>

#include "tools/nodectl/filters.h"
#include "tools/nodectl/image_call.h"
#include "tools/nodectl/image_json.h"
#include "tools/nodectl/units.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

using Image = schema::Image::Reader;

constexpr std::string_view kKeys[] = {"before", "dangling", "label", "reference", "since"};
constexpr const char* kTable = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
constexpr const char* kTableOfDigests =
    "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

const Json& headers() {
    static const Json names = {
        {"Containers", "CONTAINERS"},
        {"CreatedAt", "CREATED AT"},
        {"CreatedSince", "CREATED"},
        {"Digest", "DIGEST"},
        {"ID", "IMAGE ID"},
        {"Repository", "REPOSITORY"},
        {"SharedSize", "SHARED SIZE"},
        {"Size", "SIZE"},
        {"Tag", "TAG"},
        {"UniqueSize", "UNIQUE SIZE"},
        {"VirtualSize", "SIZE"},
    };
    return names;
}

/// The list has no configs: each image that is asked about its labels is looked at.
Result<bool> has_label(Session& session, const Image& image, const std::string& filter) {
    auto request = session.storage().inspectImageRequest();
    request.setReference(image.getId());
    const auto response = TRY(session.wait(request.send()));
    return image_has_label(response.getImage(), filter);
}

/// A glob over the name with or without its tag.
bool name_matches(const std::string& repository, const std::string& tag,
                  const std::string& pattern) {
    const std::string whole = repository + ":" + tag;
    return fnmatch(pattern.c_str(), whole.c_str(), FNM_PATHNAME) == 0 ||
           fnmatch(pattern.c_str(), repository.c_str(), FNM_PATHNAME) == 0;
}

/// When the image that before= or since= names was made.
Result<int64_t> created_ns(const std::vector<Image>& images, const std::string& wanted) {
    for (const Image& image : images) {
        const std::string id = short_id(image.getId().cStr());
        bool is_it = wanted.size() >= 4 &&
                     std::string_view(image.getId().cStr()).find(wanted) != std::string_view::npos;
        for (const auto name : image.getNames()) {
            is_it = is_it || wanted == name.cStr() || wanted + ":latest" == name.cStr();
        }
        if (is_it) return image.getCreatedNs();
    }
    return fail("No such image: " + wanted);
}

Result<std::vector<Row>> select(Session& session, const std::vector<Image>& images,
                                const Filters& filters, bool truncate) {
    for (const std::string& wanted : filters.of("dangling")) {
        if (wanted != "true" && wanted != "false" && wanted != "1" && wanted != "0")
            return fail("invalid filter 'dangling=" + wanted + "'");
    }
    int64_t before = INT64_MAX;
    int64_t since = INT64_MIN;
    for (const std::string& name : filters.of("before"))
        before = std::min(before, TRY(created_ns(images, name)));
    for (const std::string& name : filters.of("since"))
        since = std::max(since, TRY(created_ns(images, name)));
    std::vector<Row> rows;
    for (const Image& image : images) {
        const bool dangling = image.getNames().size() == 0;
        if (image.getCreatedNs() >= before || image.getCreatedNs() <= since) continue;
        const auto as_wanted = [&](const std::string& wanted) {
            return (wanted == "true" || wanted == "1") == dangling;
        };
        if (!filters.any("dangling", as_wanted)) continue;
        bool labelled = true;
        for (const std::string& label : filters.of("label"))
            labelled = labelled && TRY(has_label(session, image, label));
        if (!labelled) continue;
        for (Row& row : image_rows(image, truncate, session.now_ns())) {
            const std::string repository = row.fields["Repository"];
            const std::string tag = row.fields["Tag"];
            const auto named = [&](const std::string& pattern) {
                return name_matches(repository, tag, pattern);
            };
            if (filters.any("reference", named)) rows.push_back(std::move(row));
        }
    }
    return rows;
}

}  // namespace

int images(Invocation& call) {
    bool all = false;
    bool digests = false;
    bool quiet = false;
    bool no_trunc = false;
    std::vector<std::string> wanted;
    std::string format;
    const Option options[] = {
        {'a', "all", &all, "", nullptr},  // docker's intermediate images do not exist here
        {0, "digests", &digests, "", "Show digests (of a registry: images here have none)"},
        {'f', "filter", &wanted, "filter", "Filter output based on conditions provided"},
        {0, "format", &format, "string", "table, 'table TEMPLATE', json, or a Go template"},
        {0, "no-trunc", &no_trunc, "", "Don't truncate output"},
        {'q', "quiet", &quiet, "", "Only show image IDs"},
    };
    if (const auto status = call.parse(options, {.max = 1})) return *status;
    if (!call.arguments.empty()) wanted.push_back("reference=" + call.arguments[0]);
    const Filters filters = OR_FAIL(call, Filters::parse(wanted, kKeys, "-f, --filter"));
    const auto response =
        OR_FAIL(call, call.session.wait(call.session.storage().listImagesRequest().send()));
    std::vector<Image> list;
    for (const auto image : response.getImages()) list.push_back(image);
    std::stable_sort(list.begin(), list.end(), [](const Image& a, const Image& b) {
        return a.getCreatedNs() > b.getCreatedNs();
    });
    const std::vector<Row> rows = OR_FAIL(call, select(call.session, list, filters, !no_trunc));
    if (quiet && format.empty()) format = "{{.ID}}";
    const char* table = digests ? kTableOfDigests : kTable;
    print(OR_FAIL(call, render_rows(rows, format, table, headers())));
    return 0;
}

}  // namespace noded::nodectl
