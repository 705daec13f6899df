// libbpf, found when it is wanted: a machine that has not installed it has figures all the same,
// and a sentence on what is missing. Its headers are included here alone.
//
// The table is filled by load_libbpf() and constant then; nothing of it may be called before.
#pragma once

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "agent/base/result.h"

/// All that is used of it.
#define NODED_LIBBPF(function)                \
    function(bpf_link__destroy)               \
    function(bpf_map__fd)                     \
    function(bpf_map__name)                   \
    function(bpf_map__set_initial_value)      \
    function(bpf_map__set_max_entries)        \
    function(bpf_map_delete_elem)             \
    function(bpf_map_lookup_batch)            \
    function(bpf_map_lookup_elem)             \
    function(bpf_map_update_elem)             \
    function(bpf_object__close)               \
    function(bpf_object__find_map_by_name)    \
    function(bpf_object__find_map_fd_by_name) \
    function(bpf_object__find_program_by_name) \
    function(bpf_object__load)                \
    function(bpf_object__next_map)            \
    function(bpf_object__next_program)        \
    function(bpf_object__open_mem)            \
    function(bpf_prog_test_run_opts)          \
    function(bpf_program__attach)             \
    function(bpf_program__attach_cgroup)      \
    function(bpf_program__autoload)           \
    function(bpf_program__fd)                 \
    function(bpf_program__name)               \
    function(bpf_program__section_name)       \
    function(bpf_program__set_autoload)       \
    function(btf__find_by_name_kind)          \
    function(btf__free)                       \
    function(btf__load_vmlinux_btf)           \
    function(libbpf_num_possible_cpus)        \
    function(libbpf_set_print)

namespace noded::stats {

struct Libbpf {
#define NODED_MEMBER(name) decltype(&::name) name = nullptr;
    NODED_LIBBPF(NODED_MEMBER)
#undef NODED_MEMBER
};
extern Libbpf lib;

/// Finds `file` where the dynamic linker looks, and all functions in it; once, also if it is called
/// again.
Status load_libbpf(const char* file = "libbpf.so.1");

}  // namespace noded::stats
