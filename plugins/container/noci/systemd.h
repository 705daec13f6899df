// What noci asks of systemd, the machine's first process, with --systemd-cgroup: a unit for each
// container, a scope or a slice, so that systemd knows whose the processes are, keeps the limits
// when it is loaded anew, and shows them. By D-Bus over systemd's own socket, which needs no bus;
// the interface is org.freedesktop.systemd1(5). systemd 244 or newer.
//
// Only with that flag: nothing of this is called, and no page of libdbus touched, without it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "agent/base/result.h"
#include "plugins/container/noci/json_view.h"

struct DBusConnection;

namespace noded::noci {

/// A file of a device, or a class of them, and "rwm".
using DeviceAllow = std::pair<std::string, std::string>;

/// By its type in D-Bus: b i u x t s ay au as a(ss).
using UnitValue = std::variant<bool, int32_t, uint32_t, int64_t, uint64_t, std::string,
                               std::vector<uint8_t>, std::vector<uint32_t>,
                               std::vector<std::string>, std::vector<DeviceAllow>>;

struct UnitProperty {
    std::string name;
    UnitValue value;
};

class Systemd {
public:
    static Result<Systemd> connect();

    /// Returns when it is there. One of the same name that has failed is forgotten before.
    Status start(const std::string& unit, const std::vector<UnitProperty>& properties);
    /// Until systemd is started anew.
    Status change(const std::string& unit, const std::vector<UnitProperty>& properties);
    /// Returns when it is gone. ENOENT: there is none of this name.
    Status stop(const std::string& unit);

private:
    struct Close {
        void operator()(DBusConnection* connection) const;
    };
    explicit Systemd(DBusConnection* connection) : connection_(connection) {}
    Status greet();
    /// The result that systemd tells of its job: "done".
    Result<std::string> await_job(const std::string& job, const std::string& unit);
    void forget_failure(const std::string& unit);

    std::unique_ptr<DBusConnection, Close> connection_;
};

/// A process that does nothing: a scope begins with one, and ends with the last. Ends with this
/// object, and with this process.
class Placeholder {
public:
    Placeholder() = default;
    Placeholder(Placeholder&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
    Placeholder& operator=(Placeholder&& other) noexcept {
        std::swap(pid_, other.pid_);
        return *this;
    }
    ~Placeholder();
    static Result<Placeholder> make();
    pid_t pid() const { return pid_; }

private:
    pid_t pid_ = 0;
};

// unit_properties.cc: configurations in systemd's words.

/// "p-n.scope" of the cgroup "/a.slice/a-b.slice/p-n.scope", and the slice that it is in.
struct UnitNames {
    std::string unit, slice;
};
UnitNames unit_names(const std::string& cgroup);
/// Of a new unit: where it is, who is in it, and what annotations "org.systemd.property.NAME" say.
Result<std::vector<UnitProperty>> new_unit_properties(
    const UnitNames& names, const std::string& id, pid_t pid, bool pure_v2,
    const std::vector<std::pair<std::string, std::string>>& annotations);
/// Limits as in linux.resources, those that systemd knows; and its list of devices, if `devices`.
Result<std::vector<UnitProperty>> resource_properties(const Json& resources, bool pure_v2,
                                                      bool devices);
/// systemd keeps a quota of CPU time in whole percents: so much is asked of the kernel, too.
void round_quota(Json& resources);

}  // namespace noded::noci
