// See hooks.h.
#include "plugins/container/noci/hooks.h"

#include <unistd.h>

#include "plugins/container/noci/init/hook.h"

namespace noded::noci {
namespace {

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
    std::vector<const char*> out;
    for (const std::string& text : texts) out.push_back(text.c_str());
    out.push_back(nullptr);
    return out;
}

}  // namespace

std::vector<std::string> own_environment() {
    std::vector<std::string> all;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable)
        all.emplace_back(*variable);
    return all;
}

Status run_hooks(const std::vector<HookConfig>& hooks, const char* kind, int state_fd) {
    for (size_t i = 0; i < hooks.size(); ++i) {
        const auto arguments = pointers(hooks[i].args);
        const std::vector<std::string> variables = hooks[i].env.value_or(own_environment());
        const auto environment = pointers(variables);
        const HookCall call = {hooks[i].path.c_str(), arguments.data(), environment.data(),
                               hooks[i].timeout_seconds, state_fd};
        shim::Text<1024> error;
        if (!run_hook(call, &error))
            return fail("error running " + std::string(kind) + " hook #" + std::to_string(i) +
                        ": " + std::string(error.view()));
    }
    return {};
}

}  // namespace noded::noci
