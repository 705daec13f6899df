// See plan_builder.h.
#include "plugins/container/noci/plan_builder.h"

namespace noded::noci {

TextAt PlanBuilder::text(const std::string& text) {
    return text.empty() ? 0 : text_even_empty(text);
}

TextAt PlanBuilder::text_even_empty(const std::string& text) {
    const TextAt at = TextAt(bytes_.size());
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    bytes_.push_back(0);
    return at;
}

ListAt PlanBuilder::texts(const std::vector<std::string>& texts) {
    std::vector<TextAt> places;
    for (const std::string& text : texts) places.push_back(text_even_empty(text));
    return list(places);
}

ListAt PlanBuilder::hooks(const std::vector<HookConfig>& hooks,
                          const std::vector<std::string>& environment) {
    std::vector<Hook> all;
    for (const HookConfig& hook : hooks)
        all.push_back({text(hook.path), texts(hook.args), texts(hook.env.value_or(environment)),
                       hook.timeout_seconds});
    return list(all);
}

Result<Buffer> PlanBuilder::finish() {
    if (bytes_.size() > plan_bytes_max)
        return fail(
            "the configuration is too large: its mounts, hooks and paths have more than 8 MiB");
    plan.size = uint32_t(bytes_.size());
    std::memcpy(bytes_.data(), &plan, sizeof plan);
    return std::move(bytes_);
}

std::string map_text(const std::vector<IdMap>& maps) {
    std::string text;
    for (const IdMap& map : maps)
        text += std::to_string(map.container) + " " + std::to_string(map.host) + " " +
                std::to_string(map.size) + "\n";
    return text;
}

}  // namespace noded::noci
