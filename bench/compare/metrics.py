"""The metrics: what is measured, how the sides take turns, and the bar. Used by run.

Turns: every side is warmed up, then blocks of runs alternate (A B C, A B C, ...), so that a slow
minute of the machine falls on all of them; between them is a pause, in which a side does what it
has put off. A figure is the median of all runs of a side.
"""
import json
import statistics
import time
from typing import Callable, NamedTuple

import crowd_metrics
import log_metrics
import node_metrics
import output_metrics
import overhead_metrics
import sides
import stream_metrics
from lines import Line, times_better

ROUNDS, WARM_UP_RUNS = 10, 3
PAUSE_SECONDS = 0.3
SHIMS = 10
IDLE_SECONDS = 3


def medians_ms(bench, contenders):
    """`contenders`: name to (runs per block, command, environment). Medians in milliseconds."""
    samples = {name: [] for name in contenders}
    for _, command, env in contenders.values():
        bench.times_ns(WARM_UP_RUNS, command, env)
    for _ in range(2 if bench.quick else ROUNDS):
        for name, (runs, command, env) in contenders.items():
            samples[name] += bench.times_ns(runs, command, env)
            time.sleep(PAUSE_SECONDS)
    return {name: statistics.median(times) / 1e6 for name, times in samples.items()}


def run_none(bench):
    words = ("run", "--rm", "--network", "none", sides.IMAGE, "true")
    medians = medians_ms(bench, {
        "ours": (10, bench.noded.command(*words), bench.noded.env),
        "docker": (4, bench.docker.command(*words), bench.docker.env),
        "runc": (10, bench.runc.run_command(), bench.runc.env),
    })
    yield times_better("run-none/docker", "ms", medians["ours"], medians["docker"], 50)
    yield times_better("run-none/runc", "ms", medians["ours"], medians["runc"], 6)


def exec_true(bench):
    sides_of_it = (bench.noded, bench.docker, bench.runc)
    for side in sides_of_it:
        side.start_sleeper("compare-exec")
    try:
        words = ("exec", "compare-exec", "true")
        medians = medians_ms(bench, {
            "ours": (10, bench.noded.command(*words), bench.noded.env),
            "docker": (4, bench.docker.command(*words), bench.docker.env),
            "runc": (10, bench.runc.exec_command("compare-exec"), bench.runc.env),
        })
    finally:
        for side in sides_of_it:
            side.remove("compare-exec")
    yield times_better("exec/docker", "ms", medians["ours"], medians["docker"], 20)
    yield times_better("exec/runc", "ms", medians["ours"], medians["runc"], 4)


def daemon_mib(side):
    return sum(map(sides.pss_bytes, side.daemon_pids())) / 2**20


def shim_mib(side):
    """Per container, over several: pages that shims share are counted once among them, and a shim
    that is kept ready for the next container is paid for by these."""
    try:
        for number in range(SHIMS):
            side.start_sleeper(f"compare-memory-{number}")
        time.sleep(IDLE_SECONDS)
        pids = side.shim_pids()
        if len(pids) < SHIMS:
            raise sides.Unmeasured(f"{len(pids)} shims for {SHIMS} containers")
        return sum(map(sides.pss_bytes, pids)) / SHIMS / 2**20
    finally:
        side.remove_all()


def memory(bench):
    """Idle: nothing runs and all plugins are loaded. Best measured before other metrics."""
    both = (bench.noded, bench.docker)
    time.sleep(IDLE_SECONDS)
    ours, peer = map(daemon_mib, both)
    yield times_better("memory/daemon", "MiB", ours, peer, 8)
    ours, peer = map(shim_mib, both)
    yield times_better("memory/shim", "MiB", ours, peer, 8)


def rpc(bench):
    """The benchmark itself alternates both sides on one CPU and prints both medians."""
    figures = json.loads(sides.run([bench.tool("rpc_bench"), "--json"]))
    one, many = figures["rpc_1_us"], figures["rpc_64_calls_per_s"]
    yield times_better("rpc/1", "us", one["ours"], one["peer"], 1)
    ratio = many["ours"] / many["peer"]
    yield Line("rpc/64", "calls/s", many["ours"], many["peer"], ratio, 2, True)


class Metric(NamedTuple):
    measure: Callable
    needs_node: bool
    targets: tuple  # Bazel targets beside //:dist


TIMER = "//bench/compare:spawn_timer"
LOG = ("//bench/log:log_bench",)
NODE = ("//bench/node:node_bench", "//bench/node:objects.so", "//bench/node:late_objects.so")
ALL = {
    "run-none": Metric(run_none, True, (TIMER,)),
    "exec": Metric(exec_true, True, (TIMER,)),
    "memory": Metric(memory, True, ()),
    "storm": Metric(crowd_metrics.storm, True, (TIMER,)),
    "kill-rm-300": Metric(crowd_metrics.kill_rm_300, True, (TIMER,)),
    "memory-per-container": Metric(crowd_metrics.memory_per_container, True, (TIMER,)),
    "ps-1000": Metric(crowd_metrics.ps_1000, True, (TIMER,) + NODE),
    "rpc": Metric(rpc, False, ("//bench/rpc:rpc_bench",)),
    "durable-append": Metric(log_metrics.durable_append, False, LOG),
    "log-append": Metric(log_metrics.log_append, False, LOG),
    "durable-append-1000": Metric(node_metrics.durable_append_1000, True, LOG + NODE),
    "replay": Metric(log_metrics.replay, False, LOG),
    "logs-ingest": Metric(output_metrics.logs_ingest, True, ()),
    "logs-read": Metric(output_metrics.logs_read, True, (TIMER,)),
    "logs-tail": Metric(output_metrics.logs_tail, True, (TIMER,)),
    "restart": Metric(node_metrics.restart, True, NODE),
    "snapshot-pause": Metric(node_metrics.snapshot_pause, True, NODE),
    "late-pause": Metric(node_metrics.late_pause, True, NODE),
    "stats-cost": Metric(stream_metrics.stats_cost, True, ("//bench/compare:file_reader",)),
    "stats-accuracy": Metric(stream_metrics.stats_accuracy, True, ()),
    "stats-overhead": Metric(overhead_metrics.stats_overhead, True, ()),
    "pubsub": Metric(stream_metrics.pubsub, False, ("//bench/pubsub:pubsub_bench",)),
    "scrape": Metric(stream_metrics.scrape, True, ()),
    "logs-follow-10": Metric(stream_metrics.logs_follow_10, True, ()),
    "pipeline": Metric(node_metrics.pipeline, True, NODE),
}
