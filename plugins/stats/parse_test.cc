// The kernel's text, as it was seen on machines, into figures; and what is cut, strange or hostile.
#include <gtest/gtest.h>

#include "plugins/stats/parse.h"
#include "plugins/stats/places.h"

namespace noded::stats {
namespace {

TEST(StatsParse, cpu_stat_of_v2_is_in_nanoseconds) {
    const auto cpu = parse_cpu_stat(
        "usage_usec 10\nuser_usec 7\nsystem_usec 3\nnice_usec 0\nnr_periods 4\nnr_throttled 2\n"
        "throttled_usec 5\nnr_bursts 0\n");
    ASSERT_TRUE(cpu);
    EXPECT_EQ(cpu->total_ns, 10'000u);
    EXPECT_EQ(cpu->user_ns, 7'000u);
    EXPECT_EQ(cpu->system_ns, 3'000u);
    EXPECT_EQ(cpu->periods, 4u);
    EXPECT_EQ(cpu->throttled_periods, 2u);
    EXPECT_EQ(cpu->throttled_ns, 5'000u);
    EXPECT_FALSE(parse_cpu_stat("nr_periods 0\n"));
    EXPECT_FALSE(parse_cpu_stat(""));
}

TEST(StatsParse, a_key_is_a_whole_word) {
    EXPECT_EQ(value_of("usage_usec_old 3\nusage_usec 4", "usage_usec"), 4u);
    EXPECT_EQ(value_of("MemTotal:       16 kB\n", "MemTotal:"), 16u);
    EXPECT_FALSE(value_of("key\nkey \nkey x\n", "key"));
}

TEST(StatsParse, no_limit_is_zero_in_both_hierarchies) {
    EXPECT_EQ(parse_value("max\n"), 0u);
    EXPECT_EQ(parse_value("9223372036854771712\n"), 0u);
    EXPECT_EQ(parse_value("67108864\n"), 67'108'864u);
    EXPECT_FALSE(parse_value(""));
    EXPECT_FALSE(parse_value("99999999999999999999999\n"));
}

TEST(StatsParse, memory_has_other_names_in_v1) {
    Memory memory;
    parse_memory_stat("inactive_file 9\ntotal_cache 50\ntotal_rss 40\ntotal_pgfault 6\n"
                      "total_pgmajfault 1\ntotal_inactive_file 30\n", true, memory);
    EXPECT_EQ(memory.inactive, 30u);
    EXPECT_EQ(memory.cache, 50u);
    EXPECT_EQ(memory.rss, 40u);
    EXPECT_EQ(memory.page_faults, 6u);
    EXPECT_EQ(memory.major_page_faults, 1u);
    parse_memory_stat("anon 4\nfile 5\ninactive_file 200\npgfault 1\n", false, memory);
    EXPECT_EQ(memory.inactive, 200u);
    EXPECT_EQ(memory.cache, 5u);
}

TEST(StatsParse, block_io_is_the_sum_over_devices) {
    const Io v1 = parse_blkio(
        "254:0 Read 10\n254:0 Write 20\n254:0 Sync 5\n254:0 Total 30\n8:0 Read 1\n8:0 Write 2\n"
        "8:0 Total 3\nTotal 33\n",
        "254:0 Read 3\n254:0 Write 4\n254:0 Total 7\nTotal 7\n");
    EXPECT_EQ(v1.read_bytes, 11u);
    EXPECT_EQ(v1.write_bytes, 22u);
    EXPECT_EQ(v1.reads, 3u);
    EXPECT_EQ(v1.writes, 4u);
    const Io v2 = parse_io_stat("254:0 rbytes=10 wbytes=20 rios=3 wios=4 dbytes=9 dios=9\n"
                                "8:0 \n7:0 rbytes=1 wbytes= rios=x wios=1\n");
    EXPECT_EQ(v2.read_bytes, 11u);
    EXPECT_EQ(v2.write_bytes, 20u);
    EXPECT_EQ(v2.reads, 3u);
    EXPECT_EQ(v2.writes, 5u);
}

TEST(StatsParse, pressure_of_an_old_kernel_has_no_full_line) {
    const auto both = parse_pressure("some avg10=1.00 avg60=0.00 avg300=0.00 total=12\n"
                                     "full avg10=0.00 avg60=0.00 avg300=0.00 total=3\n");
    ASSERT_TRUE(both);
    EXPECT_EQ(both->some_us, 12u);
    EXPECT_EQ(both->full_us, 3u);
    EXPECT_EQ(parse_pressure("some avg10=0.00 total=5\n")->full_us, 0u);
    EXPECT_FALSE(parse_pressure(""));
}

TEST(StatsParse, networks_without_the_head_and_their_sum) {
    auto networks = parse_net_dev(
        "Inter-|   Receive          |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n"
        "    lo:   61444     431    0    0    0     0          0         0    61444     431    0 "
        "   0    0     0       0          0\n"
        "  eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n"
        "  eth1:10 20 30 40 0 0 0 0 50 60 70 80 0 0 0 0\n"
        "broken: 1 2 3\n");
    ASSERT_EQ(networks.size(), 3u);
    EXPECT_EQ(networks[1].name, "eth0");
    networks.erase(networks.begin());
    const Net sum = sum_of(networks);
    EXPECT_EQ(sum.received_bytes, 11u);
    EXPECT_EQ(sum.received_packets, 22u);
    EXPECT_EQ(sum.receive_errors, 33u);
    EXPECT_EQ(sum.receive_drops, 44u);
    EXPECT_EQ(sum.sent_bytes, 55u);
    EXPECT_EQ(sum.sent_packets, 66u);
    EXPECT_EQ(sum.send_errors, 77u);
    EXPECT_EQ(sum.send_drops, 88u);
}

TEST(StatsParse, disks_that_were_never_used_are_left_out) {
    const auto disks = parse_diskstats(
        "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        " 254       0 vda 100 1 2000 30 40 2 800 50 0 77 80 0 0 0 0 9 9\n 254 1 cut 1 2\n");
    ASSERT_EQ(disks.size(), 1u);
    EXPECT_EQ(disks[0].name, "vda");
    EXPECT_EQ(disks[0].io.reads, 100u);
    EXPECT_EQ(disks[0].io.read_bytes, 2000u * 512);
    EXPECT_EQ(disks[0].io.writes, 40u);
    EXPECT_EQ(disks[0].io.write_bytes, 800u * 512);
    EXPECT_EQ(disks[0].busy_ms, 77u);
    EXPECT_EQ(disks[0].reads_merged, 1u);
    EXPECT_EQ(disks[0].read_ms, 30u);
    EXPECT_EQ(disks[0].writes_merged, 2u);
    EXPECT_EQ(disks[0].write_ms, 50u);
    EXPECT_EQ(disks[0].in_progress, 0u);
    EXPECT_EQ(disks[0].weighted_ms, 80u);
}

TEST(StatsParse, file_systems_are_those_on_disks_of_this_machine) {
    const auto found = parse_filesystems(
        "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        "22 21 0:5 / /proc rw - proc proc rw\n"
        "23 21 0:40 / /mnt/far rw - nfs4 server:/x rw\n"
        "24 21 8:1 /sub /mnt/with\\040blank ro,nosuid - xfs /dev/sda1 rw\ncut 1 2\n");
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].mount_point, "/");
    EXPECT_EQ(found[0].device, "/dev/vda");
    EXPECT_FALSE(found[0].read_only);
    EXPECT_EQ(found[1].mount_point, "/mnt/with blank");
    EXPECT_EQ(found[1].type, "xfs");
    EXPECT_TRUE(found[1].read_only);
}

TEST(StatsParse, all_lines_of_meminfo) {
    const auto items = parse_meminfo_items(
        "MemTotal:       1000 kB\nActive(anon):  2 kB\nHugePages_Total:       3\nbad\nworse: x\n");
    ASSERT_EQ(items.size(), 3u);
    EXPECT_EQ(items[0].value, 1'024'000u);
    EXPECT_EQ(items[1].name, "Active(anon)");
    EXPECT_TRUE(items[1].is_bytes);
    EXPECT_EQ(items[2].value, 3u);
    EXPECT_FALSE(items[2].is_bytes);
}

TEST(StatsParse, the_node_from_proc) {
    NodeFigures node;
    parse_stat("cpu  100 20 30 4000 5 6 7 8 0 0\ncpu0 1 2\ncpu1 3 4\nintr 5 1 2\nctxt 99\n"
               "btime 1700000000\nprocesses 12\nprocs_running 3\nprocs_blocked 1\n",
               100, node);
    EXPECT_EQ(node.cpus, 2u);
    EXPECT_EQ(node.cpu.user_ns, 1'000'000'000u);
    EXPECT_EQ(node.cpu.idle_ns, 40'000'000'000u);
    EXPECT_EQ(node.cpu.steal_ns, 80'000'000u);
    EXPECT_EQ(node.context_switches, 99u);
    EXPECT_EQ(node.interrupts, 5u);
    ASSERT_EQ(node.per_cpu.size(), 2u);
    EXPECT_EQ(node.per_cpu[1].user_ns, 30'000'000u);
    EXPECT_EQ(node.per_cpu[1].nice_ns, 40'000'000u);
    EXPECT_EQ(node.processes_created, 12u);
    EXPECT_EQ(node.processes_running, 3u);
    EXPECT_EQ(node.boot_ns, 1'700'000'000'000'000'000);
    const NodeMemory memory =
        parse_meminfo("MemTotal:  2 kB\nMemFree:  1 kB\nCached: 7 kB\nSwapCached: 9 kB\n");
    EXPECT_EQ(memory.total, 2048u);
    EXPECT_EQ(memory.cached, 7168u);
    const Load load = parse_loadavg("0.50 1.25 2.00 1/100 1234\n");
    EXPECT_DOUBLE_EQ(load.one, 0.5);
    EXPECT_DOUBLE_EQ(load.five, 1.25);
    EXPECT_DOUBLE_EQ(load.fifteen, 2);
}

TEST(StatsPlaces, each_hierarchy_has_the_containers_folder_and_not_a_group_below_it) {
    const auto mounts = parse_mounts(
        "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "36 31 0:32 / /elsewhere rw,relatime - cgroup cgroup rw,memory\n"
        "37 31 0:37 /part /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
    ASSERT_EQ(mounts.size(), 4u);
    const Places places = places_of(
        mounts, "9:name=systemd:/\n4:memory:/noded/1/abc/inner\n3:pids:/part/noded/1/abc\n"
                "2:cpuacct,cpu:/noded/1/abc\n0::/noded/1/abc\n", "abc");
    EXPECT_EQ(places.memory, "/sys/fs/cgroup/memory/noded/1/abc");
    EXPECT_EQ(places.pids, "/sys/fs/cgroup/pids/noded/1/abc");
    EXPECT_EQ(places.cpu, "/sys/fs/cgroup/cpu/noded/1/abc");
    EXPECT_EQ(places.cpuacct, "/sys/fs/cgroup/cpu/noded/1/abc");
    EXPECT_EQ(places.v2, "/sys/fs/cgroup/unified/noded/1/abc");
    EXPECT_EQ(places.blkio, "");
}

TEST(StatsPlaces, a_group_that_is_not_the_containers_gives_no_figures) {
    const auto mounts = parse_mounts("1 1 0:1 / /cg rw - cgroup2 cgroup2 rw\n");
    EXPECT_EQ(places_of(mounts, "0::/\n", "abc").v2, "");
    EXPECT_EQ(places_of(mounts, "0::/noded/1/abcdef\n", "abc").v2, "");
    EXPECT_EQ(places_of(mounts, "0::/noded/1/abc\n", "").v2, "");
    EXPECT_EQ(places_of(mounts, "nonsense\n0:\n", "abc").v2, "");
}

}  // namespace
}  // namespace noded::stats
