// Pins the layout of every struct of the ABI: a plugin that was compiled years ago reads the same
// bytes at the same places. Adding to the end of a struct adds lines to layout.golden; any other
// change of it is a new NODED_ABI_MAJOR.
#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <sstream>
#include <string>

#include "plugins/abi/host.h"
#include "plugins/abi/plugin.h"
#include "plugins/abi/rpc.h"

namespace {

class Layout {
public:
    template <typename T>
    Layout& of(const char* name) {
        text_ << name << " size " << sizeof(T) << " align " << alignof(T) << "\n";
        return *this;
    }
    void field(const char* name, size_t offset, size_t size) {
        text_ << "  " << name << " at " << offset << " size " << size << "\n";
        last_end_ = offset + size;
    }
    /// Shows padding at the end, or a field that this test forgot.
    void end(size_t size) {
        if (last_end_ == size) return;
        text_ << "  bytes " << last_end_ << " to " << size << " are no field\n";
    }
    std::string text() const { return text_.str(); }

private:
    std::ostringstream text_;
    size_t last_end_ = 0;
};

#define FIELD(field_name) \
    layout.field(#field_name, offsetof(T, field_name), sizeof(T::field_name));
#define STRUCT(name, ...)               \
    {                                   \
        using T = struct name;          \
        layout.of<T>(#name);            \
        __VA_ARGS__ layout.end(sizeof(T)); \
    }

void plugin_side(Layout& layout) {
    STRUCT(noded_bytes, FIELD(data) FIELD(size))
    STRUCT(noded_type, FIELD(id) FIELD(name))
    STRUCT(noded_types, FIELD(list) FIELD(count))
    STRUCT(noded_descriptor,
           FIELD(size) FIELD(abi_major) FIELD(abi_minor) FIELD(reserved) FIELD(id) FIELD(version)
               FIELD(description) FIELD(extensions_required) FIELD(plugins_needed) FIELD(commands)
                   FIELD(events) FIELD(folds) FIELD(schema))
    STRUCT(noded_command, FIELD(size) FIELD(origin) FIELD(type) FIELD(payload) FIELD(id)
                              FIELD(time_ns) FIELD(uid) FIELD(gid))
    STRUCT(noded_event, FIELD(size) FIELD(reserved) FIELD(seq) FIELD(time_ns) FIELD(type)
                            FIELD(cause_seq) FIELD(command_id) FIELD(payload))
    STRUCT(noded_decision, FIELD(size) FIELD(reserved) FIELD(context) FIELD(emit) FIELD(reject))
    STRUCT(noded_sink, FIELD(size) FIELD(reserved) FIELD(context) FIELD(write))
    STRUCT(noded_plugin,
           FIELD(size) FIELD(reserved) FIELD(descriptor) FIELD(init) FIELD(decide) FIELD(fold)
               FIELD(react) FIELD(reconcile) FIELD(snapshot_save) FIELD(snapshot_load) FIELD(stop)
                   FIELD(destroy) FIELD(get_extension))
    STRUCT(noded_call, FIELD(size) FIELD(method) FIELD(reserved) FIELD(token) FIELD(params)
                           FIELD(uid) FIELD(gid) FIELD(fd_owned) FIELD(reserved_fd))
    STRUCT(noded_plugin_rpc, FIELD(size) FIELD(methods_count) FIELD(interface_id) FIELD(methods)
                                 FIELD(call) FIELD(cancelled))
}

void host_side(Layout& layout) {
    STRUCT(noded_host, FIELD(size) FIELD(abi_minor) FIELD(context) FIELD(get_extension) FIELD(fail))
    STRUCT(noded_ext_events, FIELD(size) FIELD(propose) FIELD(submit))
    STRUCT(noded_ext_timer,
           FIELD(size) FIELD(start) FIELD(stop) FIELD(monotonic_ns) FIELD(realtime_ns))
    STRUCT(noded_ext_fd, FIELD(size) FIELD(watch) FIELD(unwatch))
    STRUCT(noded_ext_offload, FIELD(size) FIELD(run))
    STRUCT(noded_ext_topic,
           FIELD(size) FIELD(publish) FIELD(publish_as) FIELD(watch) FIELD(subscriptions)
               FIELD(own))
    STRUCT(noded_ext_log, FIELD(size) FIELD(line))
    STRUCT(noded_ext_paths, FIELD(size) FIELD(state_dir) FIELD(runtime_dir) FIELD(libexec_dir))
    STRUCT(noded_ext_rpc, FIELD(size) FIELD(respond) FIELD(refuse))
    STRUCT(noded_ext_settings, FIELD(size) FIELD(text))
}

void constants(std::ostringstream& text) {
    text << "abi " << NODED_ABI_MAJOR << "." << NODED_ABI_MINOR << "\n"
         << "symbol " << NODED_PLUGIN_SYMBOL << "\n"
         << "origins " << NODED_ORIGIN_CLIENT << " " << NODED_ORIGIN_PROPOSAL << "\n"
         << "rejections " << NODED_REJECT_INVALID << " " << NODED_REJECT_NOT_FOUND << " "
         << NODED_REJECT_CONFLICT << " " << NODED_REJECT_DENIED << " " << NODED_REJECT_LIMIT << " "
         << NODED_REJECT_BUSY << "\n"
         << "extensions " << NODED_EXT_EVENTS << " " << NODED_EXT_TIMER << " " << NODED_EXT_FD
         << " " << NODED_EXT_OFFLOAD << " " << NODED_EXT_TOPIC << " " << NODED_EXT_LOG << " "
         << NODED_EXT_PATHS << " " << NODED_EXT_RPC << " " << NODED_EXT_SETTINGS << "\n";
}

TEST(AbiLayout, every_struct_is_as_in_the_golden_file) {
    std::ostringstream text;
    constants(text);
    Layout layout;
    plugin_side(layout);
    host_side(layout);
    text << layout.text();
    std::ifstream file("tests/abi/layout.golden");
    std::stringstream golden;
    golden << file.rdbuf();
    EXPECT_EQ(text.str(), golden.str());
}

}  // namespace
