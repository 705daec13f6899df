"""The metrics of many containers: a storm of short ones, the end of three hundred, what each of
them costs in memory, and the list of a thousand. Used by metrics.py.

Both sides run the same static sleep or true on the same image. A side's containers are removed
before the other side's turn, so that neither measures beside the other's.
"""
import json
import statistics
import time

import sides
from lines import at_most, times_better, times_more

JOBS = 16
STORM, STORM_QUICK, STORM_PEER = 500, 48, 100
CROWD, CROWD_QUICK = 300, 20
MANY, MANY_QUICK = 1000, 50
SETTLED_SECONDS = 3
ALONE_PAUSE_SECONDS = 0.1


def per_second(bench, side, count):
    command = side.command("run", "--rm", "--network", "none", sides.IMAGE, "true")
    return count * 1e9 / bench.together_ns(count, JOBS, command, side.env)


def storm(bench):
    """Start and exit of 500, sixteen clients at a time. The peer's rate is that of fewer: it does
    not change with their number, and 500 of its containers take minutes."""
    per_second(bench, bench.noded, JOBS)
    per_second(bench, bench.docker, JOBS)
    ours, peer = [], []
    for _ in range(1 if bench.quick else 3):
        ours.append(per_second(bench, bench.noded, STORM_QUICK if bench.quick else STORM))
        peer.append(per_second(bench, bench.docker, STORM_QUICK if bench.quick else STORM_PEER))
    yield times_more("storm", "runs/s", statistics.median(ours), statistics.median(peer), 20)


def crowd(bench, side, count):
    side.start_sleepers(bench.tool("spawn_timer"), count, JOBS)
    return side.ask("ps", "-q", "--no-trunc").split()


def kill_and_remove_ms(bench, side, ids):
    """Both verbs with all ids, command lines included."""
    taken = 0
    for verb in ("kill", "rm"):
        taken += sum(bench.times_ns(1, side.command(verb, *ids), side.env))
    return taken / 1e6


def managers_bytes(side):
    return sum(map(sides.pss_bytes, {*side.daemon_pids(), *side.shim_pids()}))


def measured_crowd(bench):
    """Once for both metrics: per side bytes per container, and the time of its end."""
    if not hasattr(bench, "crowd"):
        count = CROWD_QUICK if bench.quick else CROWD
        measured = []
        for side in (bench.noded, bench.docker):
            time.sleep(SETTLED_SECONDS)
            before = managers_bytes(side)
            ids = crowd(bench, side, count)
            if len(ids) != count:
                raise sides.Unmeasured(f"{len(ids)} of {count} containers run")
            time.sleep(SETTLED_SECONDS)
            each = (managers_bytes(side) - before) / count
            measured.append((each, kill_and_remove_ms(bench, side, ids)))
        bench.crowd = measured
    return bench.crowd


def memory_per_container(bench):
    """What managers take more with 300 containers than without, shims and daemons together."""
    ours, peer = (each / 2**10 for each, _ in measured_crowd(bench))
    yield times_better("memory-per-container", "KiB", ours, peer, 10)


def kill_rm_300(bench):
    ours, peer = (taken for _, taken in measured_crowd(bench))
    yield times_better("kill-rm-300", "ms", ours, peer, 10)


def alone_ns(bench, side, runs, command):
    """One at a time, with time in between for what a side and the kernel put off."""
    times = []
    for _ in range(runs):
        time.sleep(ALONE_PAUSE_SECONDS)
        times += bench.times_ns(1, command, side.env)
    return times


def ps_1000(bench):
    """A client that speaks the RPC itself asks for the list: what it waits is the time inside noded
    and two wake-ups. Beside it what a user waits, and verbs that must not grow with the count."""
    few, many = (20, MANY_QUICK) if bench.quick else (100, MANY)
    side = bench.noded
    host = side.env["NODECTL_HOST"]
    words = {
        "start-exit": ("run", "--rm", "--network", "none", sides.IMAGE, "true"),
        "inspect": ("inspect", "compare-one"),
        "ps": ("ps",),
    }
    side.start_sleeper("compare-one")
    medians = []
    for count in (few - 1, many - few):
        side.start_sleepers(bench.tool("spawn_timer"), count, JOBS)
        time.sleep(SETTLED_SECONDS)
        taken = {name: bench.times_ns(30, side.command(*verb), side.env)
                 for name, verb in words.items()}
        taken["start-exit-alone"] = alone_ns(bench, side, 30, side.command(*words["start-exit"]))
        medians.append({name: statistics.median(times) / 1e6 for name, times in taken.items()})
    listed = json.loads(sides.run([bench.tool("node_bench"), "list", f"--host={host}"]))
    if listed["containers"] != many:
        raise sides.Unmeasured(f"{listed['containers']} of {many} containers are listed")
    yield at_most("ps-1000", "ms", listed["p50_ms"], 3)
    for name, taken in medians[1].items():
        yield at_most(f"ps-1000/{name}", "ms", taken)
        yield at_most(f"ps-1000/{name}-of-{few}", "ms", medians[0][name])
    side.remove_all()
