// See image_call.h.
#include "tools/nodectl/image_call.h"

#include "tools/nodectl/filters.h"
#include "tools/nodectl/json.h"

namespace noded::nodectl {

Result<ImagesGone> images_gone(Session& session, const Caused& caused) {
    ImagesGone gone;
    if (caused.last == 0) return gone;
    auto request = session.node().eventsRequest();
    request.setSince(caused.first);
    request.setMax(static_cast<uint32_t>(caused.last - caused.first + 1));
    const auto response = TRY(session.wait(request.send()));
    for (const auto event : response.getPage().getEvents()) {
        if (event.getSeq() > caused.last) break;
        const auto bytes = event.getPayload();
        capnp::FlatArrayMessageReader reader(words_of(bytes));
        if (event.getType() == capnp::typeId<schema::ImageUntagged>())
            gone.untagged.push_back(reader.getRoot<schema::ImageUntagged>().getName().cStr());
        else if (event.getType() == capnp::typeId<schema::ImageRemoved>())
            gone.deleted.push_back(reader.getRoot<schema::ImageRemoved>().getId().cStr());
    }
    return gone;
}

Result<WholeImages> WholeImages::fetch(Session& session) {
    const auto list = TRY(session.wait(session.storage().listImagesRequest().send()));
    std::vector<capnp::RemotePromise<schema::Storage::InspectImageResults>> asked;
    for (const auto image : list.getImages()) {
        auto request = session.storage().inspectImageRequest();
        request.setReference(image.getId());
        asked.push_back(request.send());
    }
    WholeImages whole;
    for (auto& one : asked) {
        auto answer = session.wait(kj::mv(one));
        if (!answer && Session::is_lost(answer.error())) return std::unexpected(answer.error());
        // One that was removed since the list was made is left out.
        if (answer) whole.answers_.push_back(std::move(*answer));
    }
    return whole;
}

std::vector<schema::Image::Reader> WholeImages::images() const {
    std::vector<schema::Image::Reader> images;
    for (const auto& answer : answers_) images.push_back(answer.getImage());
    return images;
}

bool image_has_label(const schema::Image::Reader& whole, const std::string& filter) {
    const Json config = Json::parse(whole.getConfig().cStr(), nullptr, /*allow_exceptions=*/false);
    const Json labels = config.is_object()
                            ? config.value("/config/Labels"_json_pointer, Json::object())
                            : Json::object();
    std::string found;
    return label_matches(filter, [&](std::string_view key) -> const std::string* {
        const auto label = labels.is_object() ? labels.find(key) : labels.end();
        if (label == labels.end() || !label->is_string()) return nullptr;
        found = label->get<std::string>();
        return &found;
    });
}

}  // namespace noded::nodectl
