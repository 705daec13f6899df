// The paths of /proc and /sys that docker hides from containers, or keeps them from writing to: the
// child does it, inspect shows it. Header-only, no library.
#pragma once

namespace noded {

constexpr const char* masked_paths_default[] = {"/proc/acpi",
                                                "/proc/asound",
                                                "/proc/interrupts",
                                                "/proc/kcore",
                                                "/proc/keys",
                                                "/proc/latency_stats",
                                                "/proc/sched_debug",
                                                "/proc/scsi",
                                                "/proc/timer_list",
                                                "/proc/timer_stats",
                                                "/sys/devices/virtual/powercap",
                                                "/sys/firmware"};

constexpr const char* read_only_paths_default[] = {"/proc/bus", "/proc/fs", "/proc/irq",
                                                   "/proc/sys", "/proc/sysrq-trigger"};

}  // namespace noded
