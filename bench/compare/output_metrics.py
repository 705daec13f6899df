"""The metrics of what containers write: to take it in, to read it back, and to find the end of it,
against docker's json-file. Used by metrics.py.

Both sides keep everything: ours rotates by default, and would read less.
"""
import os
import statistics
import time

import sides
from lines import times_better

# 79 bytes and a newline, as lines of a web server are.
LINE = "0123456789 GET /an/ordinary/path?with=a&query=string 200 1234 0.005 agent/1.0xx"
BYTES, BYTES_QUICK = 10**9, 10**7
TAIL_LINES = 1000
NAME = "compare-output"
SETTLED_SECONDS, FILL_SECONDS_MAX = 0.5, 600
KEEP_ALL = ("--log-opt", "max-size=4g", "--log-opt", "max-file=1")


def cpu_seconds(pids):
    """User and system time of processes so far (proc(5), stat, fields 14 and 15)."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def managers(side):
    return sorted({*side.daemon_pids(), *side.shim_pids()})


def settled_cpu_seconds(side):
    """What they have used once nothing of the output is on its way any more."""
    deadline = time.monotonic() + FILL_SECONDS_MAX
    before = cpu_seconds(managers(side))
    while time.monotonic() < deadline:
        time.sleep(SETTLED_SECONDS)
        now = cpu_seconds(managers(side))
        if now - before < 0.02 and not sides.processes("yes"):
            return now
        before = now
    raise sides.Unmeasured("the output of a container did not come to its end")


def fill(side, size):
    """A container that has written so many bytes and still runs; CPU seconds of its managers."""
    before = cpu_seconds(managers(side))
    side.ask("run", "-d", "--name", NAME, "--network", "none", *KEEP_ALL, sides.IMAGE, "sh", "-c",
             f"yes '{LINE}' | head -c {size}; sleep 100000")
    return settled_cpu_seconds(side) - before


def filled(bench):
    """Once for all metrics of a comparison: the CPU seconds of both sides."""
    if not hasattr(bench, "output_cpu"):
        size = BYTES_QUICK if bench.quick else BYTES
        bench.output_cpu = [fill(side, size) * 10**9 / size
                            for side in (bench.noded, bench.docker)]
        # Two GB are on their way to the disk, and would be for some of what is measured next.
        os.sync()
    return bench.output_cpu


def logs_ingest(bench):
    ours, peer = filled(bench)
    yield times_better("logs-ingest", "CPU s/GB", max(ours, 0.01), peer, 5)


def times_ms(bench, runs, *words):
    return [statistics.median(bench.times_ns(runs, side.command("logs", *words, NAME), side.env))
            / 1e6 for side in (bench.noded, bench.docker)]


def logs_read(bench):
    filled(bench)
    ours, peer = times_ms(bench, 1)
    yield times_better("logs-read", "ms", ours, peer, 5)


def logs_tail(bench):
    filled(bench)
    ours, peer = times_ms(bench, 3 if bench.quick else 10, "--tail", str(TAIL_LINES))
    yield times_better("logs-tail", "ms", ours, peer, 50)
