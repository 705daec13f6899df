// See net_devices.h. rtnetlink(7) through libnl.
#include "plugins/container/noci/net_devices.h"

#include <fcntl.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "agent/base/fd.h"

namespace noded::noci {
namespace {

template <auto free_it>
struct Free {
    template <typename T>
    void operator()(T* object) const {
        free_it(object);
    }
};
using Socket = std::unique_ptr<nl_sock, Free<nl_socket_free>>;
using Link = std::unique_ptr<rtnl_link, Free<rtnl_link_put>>;
using Address = std::unique_ptr<rtnl_addr, Free<rtnl_addr_put>>;

std::unexpected<Error> trouble(int error, const char* what) {
    return fail(std::string(what) + ": " + nl_geterror(error));
}

Result<Socket> open_route() {
    Socket socket(nl_socket_alloc());
    const int error = socket ? nl_connect(socket.get(), NETLINK_ROUTE) : -NLE_NOMEM;
    if (error < 0) return trouble(error, "open a netlink socket");
    return socket;
}

Result<Link> find_link(nl_sock* route, const std::string& name) {
    rtnl_link* link = nullptr;
    const int error = rtnl_link_get_kernel(route, 0, name.c_str(), &link);
    if (error < 0) return trouble(error, "find it");
    return Link(link);
}

/// Those that somebody gave it for good and that hold everywhere: the kernel makes the others
/// again.
Result<std::vector<Address>> addresses_of(nl_sock* route, int index) {
    nl_cache* all = nullptr;
    const int error = rtnl_addr_alloc_cache(route, &all);
    if (error < 0) return trouble(error, "list its addresses");
    std::vector<Address> found;
    for (nl_object* at = nl_cache_get_first(all); at != nullptr; at = nl_cache_get_next(at)) {
        auto* address = reinterpret_cast<rtnl_addr*>(at);
        if (rtnl_addr_get_ifindex(address) != index ||
            rtnl_addr_get_scope(address) != RT_SCOPE_UNIVERSE ||
            (rtnl_addr_get_flags(address) & IFA_F_PERMANENT) == 0)
            continue;
        found.emplace_back(reinterpret_cast<rtnl_addr*>(nl_object_clone(at)));
    }
    nl_cache_free(all);
    return found;
}

/// The same for the device as it is now called: what the kernel says of one begins with the old
/// name.
Address renewed(rtnl_addr* old, int index) {
    Address fresh(rtnl_addr_alloc());
    rtnl_addr_set_ifindex(fresh.get(), index);
    rtnl_addr_set_local(fresh.get(), rtnl_addr_get_local(old));
    if (nl_addr* peer = rtnl_addr_get_peer(old)) rtnl_addr_set_peer(fresh.get(), peer);
    if (nl_addr* all = rtnl_addr_get_broadcast(old)) rtnl_addr_set_broadcast(fresh.get(), all);
    rtnl_addr_set_prefixlen(fresh.get(), rtnl_addr_get_prefixlen(old));
    rtnl_addr_set_scope(fresh.get(), rtnl_addr_get_scope(old));
    rtnl_addr_set_flags(fresh.get(), rtnl_addr_get_flags(old) & IFA_F_NODAD);
    return fresh;
}

/// In the container's namespace.
Status set_up(const std::string& name, const std::vector<Address>& addresses) {
    const Socket route = TRY(open_route());
    const Link link = TRY(find_link(route.get(), name));
    for (const Address& address : addresses) {
        const Address fresh = renewed(address.get(), rtnl_link_get_ifindex(link.get()));
        const int error = rtnl_addr_add(route.get(), fresh.get(), NLM_F_CREATE);
        if (error < 0) return trouble(error, "give it its address again");
    }
    const Link change(rtnl_link_alloc());
    rtnl_link_set_flags(change.get(), IFF_UP);
    const int error = rtnl_link_change(route.get(), link.get(), change.get(), 0);
    if (error < 0) return trouble(error, "set it up");
    return {};
}

/// A process of its own enters the namespace: noci stays where it is.
Status set_up_inside(int space, const std::string& name, const std::vector<Address>& addresses) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe");
    const Fd in(ends[0]);
    Fd out(ends[1]);
    const pid_t child = fork();
    if (child < 0) return fail_errno(errno, "make a process");
    if (child == 0) {
        Status done = setns(space, CLONE_NEWNET) == 0 ? Status()
                                                      : fail_errno(errno, "enter its network");
        if (done) done = set_up(name, addresses);
        if (!done) {
            const std::string& text = done.error().message;
            (void)!write(out.get(), text.data(), text.size());
        }
        _exit(done ? 0 : 1);
    }
    out.reset();
    char text[512];
    const ssize_t size = read(in.get(), text, sizeof text);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return fail(size > 0 ? std::string(text, size_t(size)) : "the process that sets it up ended");
}

Status move_device(const NetDeviceConfig& device, int space) {
    const Socket route = TRY(open_route());
    const Link link = TRY(find_link(route.get(), device.host_name));
    const auto addresses = TRY(addresses_of(route.get(), rtnl_link_get_ifindex(link.get())));
    const Link change(rtnl_link_alloc());
    rtnl_link_set_ns_fd(change.get(), space);
    rtnl_link_set_name(change.get(), device.name.c_str());
    const int error = rtnl_link_change(route.get(), link.get(), change.get(), 0);
    if (error < 0) return trouble(error, "move it");
    return set_up_inside(space, device.name, addresses);
}

}  // namespace

Status move_net_devices(const std::vector<NetDeviceConfig>& devices, int pid) {
    if (devices.empty()) return {};
    const std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
    const Fd space(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!space.valid()) return fail_errno(errno, "open " + path);
    for (const NetDeviceConfig& device : devices) {
        const Status moved = move_device(device, space.get());
        if (!moved)
            return fail("move the network device " + device.host_name + " into the container as " +
                        device.name + ": " + moved.error().message);
    }
    return {};
}

}  // namespace noded::noci
