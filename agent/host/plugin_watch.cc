// inotify on the plugin directory; see plugin_watch.h.
#include "agent/host/plugin_watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace noded::host {

/// A symbolic or hard link is complete when it is there, and nobody closes it.
static bool is_link(const std::string& path) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) return false;
    return S_ISLNK(status.st_mode) || (S_ISREG(status.st_mode) && status.st_nlink > 1);
}

Status PluginWatch::open(const std::string& directory) {
    directory_ = directory;
    inotify_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!inotify_.valid()) return fail_errno(errno, "create an inotify instance");
    if (inotify_add_watch(inotify_.get(), directory.c_str(),
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR) < 0) {
        return fail_errno(errno, "watch the plugin directory " + directory);
    }
    reactor_.poll(inotify_.get(), POLLIN, true, *this);
    return {};
}

void PluginWatch::complete(int32_t result, bool more) {
    if (result < 0) return;
    read_names();
    if (!more) reactor_.poll(inotify_.get(), POLLIN, true, *this);
}

void PluginWatch::read_names() {
    alignas(inotify_event) char buffer[4096];
    for (;;) {
        const ssize_t size = read(inotify_.get(), buffer, sizeof buffer);
        if (size <= 0) return;
        for (const char* at = buffer; at < buffer + size;) {
            const auto* event = reinterpret_cast<const inotify_event*>(at);
            at += sizeof *event + event->len;
            const std::string name = event->len > 0 ? event->name : "";
            const std::string path = directory_ + "/" + name;
            const bool is_new =
                std::find(appeared_.begin(), appeared_.end(), path) == appeared_.end();
            if (!name.ends_with(".so") || name[0] == '.' || !is_new) continue;
            // A file that is being written is complete when it is closed.
            if ((event->mask & IN_CREATE) != 0 && !is_link(path)) continue;
            appeared_.push_back(path);
        }
    }
}

void PluginWatch::turn_end() {
    host_.fold_late();
    if (appeared_.empty() || !pipeline_.quiescent()) return;
    for (const std::string& path : std::exchange(appeared_, {})) host_.load_late(path);
}

}  // namespace noded::host
