// See unit.h.
#include "plugins/container/noci/unit.h"

#include <cerrno>

namespace noded::noci {
namespace {

Status limit(Systemd& systemd, const Container& container, Json& resources, bool devices) {
    std::string error;
    // systemd would set what the kernel then has to kill for.
    TRY_STATUS(container.cgroups.check_memory(
        JsonView(&resources, "linux.resources", &error)["memory"]));
    container.cgroups.complete_bandwidth(resources);
    round_quota(resources);
    const auto properties =
        TRY(resource_properties(resources, container.cgroups.pure_v2(), devices));
    return systemd.change(container.systemd_unit, properties);
}

}  // namespace

Result<OpenUnit> open_unit(Container& container, const Config& config) {
    const UnitNames names = unit_names(config.cgroups_path);
    OpenUnit unit{TRY(Systemd::connect()), {}};
    // Only scopes have processes that systemd did not start.
    if (names.unit.ends_with(".scope")) unit.first = TRY(Placeholder::make());
    const auto properties =
        TRY(new_unit_properties(names, container.id, unit.first.pid(),
                                container.cgroups.pure_v2(), config.annotations));
    // A scope ends with its first process, so it is noted only once it is this container's: a
    // delete is to stop nobody else's. A slice would stay.
    const bool ends_alone = unit.first.pid() > 0;
    container.systemd_unit = names.unit;
    if (!ends_alone) TRY_STATUS(container.save());
    const Status started = unit.systemd.start(names.unit, properties);
    if (!started && started.error().code == EEXIST) {
        container.systemd_unit.clear();
        container.cgroups = {};
    }
    if (!started) return std::unexpected(started.error());
    if (ends_alone) TRY_STATUS(container.save());
    return unit;
}

Status limit_unit(OpenUnit& unit, const Container& container, Json& resources, bool devices) {
    return limit(unit.systemd, container, resources, devices);
}

Status limit_unit(const Container& container, Json& resources) {
    Systemd systemd = TRY(Systemd::connect());
    return limit(systemd, container, resources, false);
}

Status close_unit(const Container& container) {
    Systemd systemd = TRY(Systemd::connect());
    const Status stopped = systemd.stop(container.systemd_unit);
    // It ended with its last process.
    return !stopped && stopped.error().code == ENOENT ? Status() : stopped;
}

}  // namespace noded::noci
