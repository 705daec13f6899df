// Finds libbpf, see libbpf.h.
#include "plugins/stats/libbpf.h"

#include <dlfcn.h>

namespace noded::stats {

Libbpf lib;

namespace {

/// Null stays null.
template <typename Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
}

}  // namespace

Status load_libbpf(const char* file) {
    if (lib.libbpf_set_print != nullptr) return {};
    void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
        return fail("load " + std::string(file) + ": " + dlerror() +
                    " (Debian's package is libbpf1)");
    Libbpf found;
    const char* missing = nullptr;
#define NODED_FIND(name) \
    if (!find(library, #name, found.name)) missing = #name;
    NODED_LIBBPF(NODED_FIND)
#undef NODED_FIND
    if (missing != nullptr) {
        dlclose(library);
        return fail("load " + std::string(file) + ": it is too old, it has no " + missing);
    }
    lib = found;
    return {};
}

}  // namespace noded::stats
