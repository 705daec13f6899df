// Calls of clients (interface Container in schemas/container.capnp), one function per method. They
// change nothing that the log knows: what does is a command.
#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::Message;
using sdk::Reading;
using sdk::text;

namespace {

/// Ordinals of the interface's methods.
enum class Method : uint16_t {
    list,
    inspect,
    wait,
    attach,
    attach_exec,
    wait_exec,
    resize,
    top,
    log_file,
    files,
    read_log
};

}  // namespace

const Container* Effects::find_or_refuse(uint64_t token, const std::string& reference) {
    const auto found = state_.find(reference);
    if (found) return *found;
    host_.refuse(token, noded_rejection(found.error().code), found.error().message);
    return nullptr;
}

void Effects::fill(const Container& container, schema::ContainerState::Builder out) const {
    write_container(container, out);
    out.setLogPath(text(state_folder(container.id)));
    fill_health(container, out);
}

void Effects::list(uint64_t token, const std::string& after) {
    const auto first = state_.by_id.upper_bound(after);
    auto end = first;
    unsigned count = 0;
    for (size_t bytes = 0; end != state_.by_id.end() && bytes < limits::list_page_bytes; ++end) {
        bytes += summary_bytes(end->second);
        ++count;
    }
    Message<schema::Container::ListResults> results;
    auto list = results->initContainers(count);
    unsigned i = 0;
    for (auto at = first; at != end; ++at) write_summary(at->second, list[i++]);
    if (end != state_.by_id.end()) results->setNext(text(std::prev(end)->first));
    host_.respond(token, results);
}

void Effects::inspect(uint64_t token, const std::string& reference) {
    const Container* container = find_or_refuse(token, reference);
    if (container == nullptr) return;
    Message<schema::Container::InspectResults> results;
    fill(*container, results->initState());
    host_.respond(token, results);
}

/// A container that never ran has an empty folder, or none yet; an earlier version made it for root
/// alone.
void Effects::log_file(uint64_t token, const std::string& reference) {
    const Container* container = find_or_refuse(token, reference);
    if (container == nullptr) return;
    const std::string path = state_folder(container->id);
    (void)sys_->make_folder(path, Sys::log_folder_mode);
    auto folder = sys_->open_read(path);
    if (!folder) return host_.refuse(token, NODED_REJECT_CONFLICT, folder.error().message);
    Message<schema::Container::LogFileResults> results;
    results->setRunning(container->live() || container->phase == Phase::RESTARTING);
    results->setTty(container->spec.tty);
    host_.respond(token, results, folder->release());
}

void Effects::call(const noded_call& call) {
    Fd fd(call.fd_owned);
    const uint64_t token = call.token;
    switch (Method(call.method)) {
        case Method::list: {
            Reading<schema::Container::ListParams> in(call.params);
            return list(token, to_string(in->getAfter()));
        }
        case Method::inspect: {
            Reading<schema::Container::InspectParams> in(call.params);
            return inspect(token, to_string(in->getContainer()));
        }
        case Method::wait: {
            Reading<schema::Container::WaitParams> in(call.params);
            return wait(token, to_string(in->getContainer()), in->getUntil());
        }
        case Method::attach: {
            Reading<schema::Container::AttachParams> in(call.params);
            return attach(token, to_string(in->getContainer()), in->getFlags(), std::move(fd));
        }
        case Method::attach_exec: {
            Reading<schema::Container::AttachExecParams> in(call.params);
            return attach_exec(token, to_string(in->getExecId()), std::move(fd));
        }
        case Method::wait_exec: {
            Reading<schema::Container::WaitExecParams> in(call.params);
            return wait_exec(token, to_string(in->getExecId()), in->getStarted());
        }
        case Method::resize: {
            Reading<schema::Container::ResizeParams> in(call.params);
            return resize(token, to_string(in->getContainer()), to_string(in->getExecId()),
                          in->getRows(), in->getColumns());
        }
        case Method::top: {
            Reading<schema::Container::TopParams> in(call.params);
            return top(token, to_string(in->getContainer()));
        }
        case Method::log_file: {
            Reading<schema::Container::LogFileParams> in(call.params);
            return log_file(token, to_string(in->getContainer()));
        }
        case Method::read_log: {
            Reading<schema::Container::ReadLogParams> in(call.params);
            return read_log(token, to_string(in->getContainer()), in->getTail(),
                            in->getPosition());
        }
        case Method::files: {
            Reading<schema::Container::FilesParams> in(call.params);
            return files(token, to_string(in->getContainer()), in->getJob(), std::move(fd));
        }
    }
    host_.refuse(token, NODED_REJECT_INVALID,
                 "the container interface has no method " + std::to_string(call.method));
}

}  // namespace noded::container
