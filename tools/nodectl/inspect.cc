// nodectl inspect: everything about containers and images, as docker's JSON.
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/container_json.h"
#include "tools/nodectl/files_call.h"
#include "tools/nodectl/image_json.h"
#include "tools/nodectl/template.h"

namespace noded::nodectl {
namespace {

using InspectedImage = capnp::RemotePromise<schema::Storage::InspectImageResults>;

constexpr int kWrongTemplate = 64;  ///< docker's

enum class Kind { any, container, image };

struct Look {
    Kind kind = Kind::any;
    bool sizes = false;
};

Result<Json> look_up_container(Session& session, const std::string& name, bool sizes) {
    const auto response = TRY(inspect_one(session, name));
    const auto state = response.getState();
    Json found = container_json(state);
    if (!sizes) return found;
    const auto counted =
        TRY(file_sizes(session, {state.getId().cStr()}, {state.getSpec().getImageId().cStr()}));
    found["SizeRw"] = counted[0].written;
    found["SizeRootFs"] = counted[0].written + counted[0].image;
    return found;
}

Result<Json> look_up_image(Session& session, const std::string& name) {
    auto request = session.storage().inspectImageRequest();
    request.setReference(name);
    const auto response = TRY(session.wait(request.send()));
    return image_json(response.getImage());
}

bool is_unknown(const Error& error) { return error.message.starts_with("No such "); }

Result<Json> look_up(Session& session, const std::string& name, const Look& look) {
    if (look.kind == Kind::image) return look_up_image(session, name);
    auto container = look_up_container(session, name, look.sizes);
    if (container || look.kind == Kind::container) return container;
    if (!is_unknown(container.error())) return container;
    auto image = look_up_image(session, name);
    if (!image && is_unknown(image.error())) return fail("No such object: " + name);
    return image;
}

int inspect_kind(Invocation& call, Kind kind) {
    std::string format;
    std::string type;
    bool sizes = false;
    std::vector<Option> options = {
        {'f', "format", &format, "string", "Format output using a Go template, or json"},
    };
    if (kind == Kind::any)
        options.push_back({0, "type", &type, "string", "Only look for this: container or image"});
    if (kind != Kind::image)
        options.push_back({'s', "size", &sizes, "", "Display total file sizes of containers"});
    if (const auto status = call.parse(options, {.min = 1})) return *status;
    if (type == "container") kind = Kind::container;
    if (type == "image") kind = Kind::image;
    if (!type.empty() && kind == Kind::any)
        return call.failed(Error{0, "\"" + type + "\" is not a valid value for --type"});
    const bool one_by_one = !format.empty() && format != "json";
    const auto parsed = Template::parse(one_by_one ? format : "");
    if (!parsed) {
        call.failed(parsed.error());
        return kWrongTemplate;
    }
    const Template& compiled = *parsed;
    // Templates know them always, JSON has them with -s.
    const Json uncounted = kind == Kind::image || sizes
                               ? Json::object()
                               : Json{{"SizeRw", nullptr}, {"SizeRootFs", nullptr}};
    Json found = Json::array();
    std::vector<Error> errors;
    for (const std::string& name : call.arguments) {
        auto object = look_up(call.session, name, {kind, sizes});
        if (!object) {
            errors.push_back(object.error());
        } else if (!one_by_one) {
            found.push_back(std::move(*object));
        } else if (const auto text = compiled.render(*object, uncounted)) {
            print(*text + "\n");
        } else {
            errors.push_back(text.error());
        }
    }
    // What was found is printed all the same, and first.
    if (!one_by_one) print((format == "json" ? to_line(found) : to_pretty(found)) + "\n");
    int status = 0;
    for (const Error& error : errors) status = call.failed(error);
    return status;
}

}  // namespace

int inspect(Invocation& call) { return inspect_kind(call, Kind::any); }
int inspect_container(Invocation& call) { return inspect_kind(call, Kind::container); }
int inspect_image(Invocation& call) { return inspect_kind(call, Kind::image); }

}  // namespace noded::nodectl
