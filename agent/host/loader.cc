// dlopen, descriptor checks, dependency order; see loader.h.
#include "agent/host/loader.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "agent/limits.h"

namespace noded::host {

Result<const noded_plugin*> open_plugin(const std::string& path) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return fail("load " + path + ": " + dlerror());
    const auto* table = static_cast<const noded_plugin*>(dlsym(handle, NODED_PLUGIN_SYMBOL));
    if (table == nullptr) {
        dlclose(handle);   // nothing of it is in use; a corrected file of this name may follow
        return fail("load " + path + ": it does not export the symbol " NODED_PLUGIN_SYMBOL
                                     ", so it is not a noded plugin");
    }
    return table;
}

bool is_word(std::string_view text) {
    return !text.empty() && text.size() <= limits::plugin_name_bytes_max &&
           std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
           });
}

static bool is_valid_id(const char* id) {
    return id != nullptr && id[0] >= 'a' && id[0] <= 'z' &&
           is_word({id, strnlen(id, limits::plugin_name_bytes_max + 1)});
}

static Status copy_types(const char* what, const noded_types& from, std::vector<NamedType>& to) {
    if (from.count > limits::plugin_types_max || (from.count > 0 && from.list == nullptr)) {
        return fail("its descriptor lists " + std::to_string(from.count) + " " + what +
                    ", at most " + std::to_string(limits::plugin_types_max) + " are allowed");
    }
    std::set<uint64_t> seen;
    for (uint32_t i = 0; i < from.count; ++i) {
        const noded_type& type = from.list[i];
        if (type.id == 0)
            return fail(std::string("its descriptor lists one of its ") + what + " with id 0");
        if (!seen.insert(type.id).second) {
            return fail(std::string("its descriptor lists one of its ") + what + " twice");
        }
        to.push_back({type.id, type.name != nullptr ? type.name : ""});
    }
    return {};
}

static Status copy_strings(const char* what, const char* const* from,
                           std::vector<std::string>& to) {
    for (; from != nullptr && *from != nullptr; ++from) {
        if (to.size() == limits::plugins_max) {
            return fail(std::string("its descriptor lists too many ") + what);
        }
        to.emplace_back(*from);
    }
    return {};
}

static Status check_table(const noded_plugin& table) {
    if (table.size < sizeof(noded_plugin)) {
        return fail("its table has " + std::to_string(table.size) + " bytes, this noded (ABI " +
                    std::to_string(NODED_ABI_MAJOR) + "." + std::to_string(NODED_ABI_MINOR) +
                    ") needs " + std::to_string(sizeof(noded_plugin)));
    }
    const bool complete =
        table.descriptor != nullptr && table.init != nullptr && table.decide != nullptr &&
        table.fold != nullptr && table.react != nullptr && table.reconcile != nullptr &&
        table.snapshot_save != nullptr && table.snapshot_load != nullptr && table.stop != nullptr &&
        table.destroy != nullptr && table.get_extension != nullptr;
    if (!complete) return fail("its table has a NULL where a function is needed");
    return {};
}

static Status check_abi(const noded_descriptor& descriptor) {
    if (descriptor.abi_major == NODED_ABI_MAJOR && descriptor.abi_minor <= NODED_ABI_MINOR)
        return {};
    return fail("it was built for plugin ABI " + std::to_string(descriptor.abi_major) + "." +
                std::to_string(descriptor.abi_minor) + ", this noded has " +
                std::to_string(NODED_ABI_MAJOR) + "." + std::to_string(NODED_ABI_MINOR) +
                "; build it with the headers of this noded");
}

Result<Description> describe(const noded_plugin& table) {
    // The ABI first: what follows it may have another shape in another version.
    if (table.size < offsetof(noded_plugin, init) || table.descriptor == nullptr) {
        return fail("its table is too small to name its ABI");
    }
    const noded_descriptor& from = *table.descriptor;
    TRY_STATUS(check_abi(from));
    TRY_STATUS(check_table(table));
    if (from.size < sizeof(noded_descriptor))
        return fail("its descriptor is too small for its ABI");
    if (!is_valid_id(from.id)) {
        return fail("its id is not of the form [a-z][a-z0-9-]* with at most " +
                    std::to_string(limits::plugin_name_bytes_max) + " characters");
    }
    Description to;
    to.id = from.id;
    to.version = from.version != nullptr ? from.version : "";
    to.text = from.description != nullptr ? from.description : "";
    to.abi = std::to_string(from.abi_major) + "." + std::to_string(from.abi_minor);
    TRY_STATUS(copy_strings("extensions", from.extensions_required, to.extensions));
    TRY_STATUS(copy_strings("plugins needed", from.plugins_needed, to.needs));
    TRY_STATUS(copy_types("commands", from.commands, to.commands));
    TRY_STATUS(copy_types("events", from.events, to.events));
    TRY_STATUS(copy_types("folds", from.folds, to.folds));
    to.schema.assign(reinterpret_cast<const char*>(from.schema.data), from.schema.size);
    return to;
}

std::vector<size_t> dependency_order(const std::vector<Description>& descriptions,
                                     std::vector<std::pair<size_t, std::string>>* refused) {
    std::set<std::string> ready;
    std::set<size_t> left;
    for (size_t i = 0; i < descriptions.size(); ++i) left.insert(i);
    std::vector<size_t> order;
    const auto missing = [&](size_t i) -> const std::string* {
        for (const std::string& need : descriptions[i].needs) {
            if (!ready.contains(need)) return &need;
        }
        return nullptr;
    };
    for (bool progress = true; progress;) {
        progress = false;
        for (auto at = left.begin(); at != left.end();) {
            if (missing(*at) != nullptr) {
                ++at;
                continue;
            }
            order.push_back(*at);
            ready.insert(descriptions[*at].id);
            at = left.erase(at);
            progress = true;
        }
    }
    for (const size_t i : left) {
        refused->emplace_back(i, "it needs the plugin " + *missing(i) +
                                     ", which is not there or waits for this one");
    }
    return order;
}

}  // namespace noded::host
