"""The metrics of the log alone, against fio on the same disk. Used by metrics.py."""
import json
import shutil
import statistics

import sides
from lines import Line, at_least, at_most, times_more

LOG_EVENTS, LOG_EVENTS_QUICK = 10_000_000, 300_000
REPLAY_MEMORY_MIB_MAX = 64


def fio(folder, *options):
    """One job's figures, in `folder`, which is emptied afterwards. The file was written before:
    growing it would cost the peer a journal commit each time."""
    folder.mkdir()
    try:
        return json.loads(sides.run([
            "fio", "--name=append", f"--directory={folder}", "--rw=write", "--overwrite=1",
            "--fdatasync=1", "--ioengine=sync", "--time_based", "--output-format=json",
            *options]))["jobs"][0]
    finally:
        shutil.rmtree(folder)


def fio_p50_us(folder, seconds):
    """p50 of a 4 KiB write plus p50 of its fdatasync."""
    job = fio(folder, "--bs=4k", "--size=16m", f"--runtime={seconds}")
    parts = (job["write"]["clat_ns"], job["sync"]["lat_ns"])
    return sum(part["percentile"]["50.000000"] for part in parts) / 1e3


def fio_bytes_per_s(folder, seconds):
    """Sequential: 1 MiB past the page cache and its fdatasync, again and again."""
    job = fio(folder, "--bs=1m", "--direct=1", "--size=512m", f"--runtime={seconds}")
    return job["write"]["bw_bytes"]


def log_bench(bench, verb, folder, events=0):
    """What one of log_bench's benchmarks printed; `events` 0 is its own number."""
    folder.mkdir(exist_ok=True)
    return json.loads(sides.run(
        [bench.tool("log_bench"), verb, f"--dir={folder}", f"--events={events}"]))


def durable_append(bench):
    """Ours twice: the log alone, and a whole command through decide, fold and reply."""
    bars = {"append": 1.1, "command": 1.5}
    ours, peer = {name: [] for name in bars}, []
    rounds, seconds = (2, 1) if bench.quick else (5, 2)
    for _ in range(rounds):
        folder = bench.work / "append-ours"
        printed = log_bench(bench, "one", folder, 500 if bench.quick else 0)
        shutil.rmtree(folder)
        for name in bars:
            ours[name].append(printed[f"{name}_p50_us"])
        peer.append(fio_p50_us(bench.work / "append-peer", seconds))
    theirs = statistics.median(peer)
    for name, bar in bars.items():
        mine = statistics.median(ours[name])
        yield Line(f"durable-{name}/fio", "us", mine, theirs, mine / theirs, bar, False)


def log_append(bench):
    """The first run of ours fills the disk's blocks for the first time, as a new log does, and is
    not counted: a log that lives uses its segments again."""
    folder = bench.work / "log-append"
    events = LOG_EVENTS_QUICK if bench.quick else 0
    printed, peer = [], []
    log_bench(bench, "append", folder, events)
    for _ in range(1 if bench.quick else 3):
        printed.append(log_bench(bench, "append", folder, events))
        peer.append(fio_bytes_per_s(bench.work / "log-append-peer", 1))
    shutil.rmtree(folder)
    median = {key: statistics.median(one[key] for one in printed) for key in printed[0]}
    yield at_least("log-append", "events/s", median["events_per_s"], 3e6)
    yield times_more("log-append/fio", "bytes/s", median["bytes_per_s"], statistics.median(peer))


def replay(bench):
    """Of a log of more than 1 GB that was just written; recovery is not part of the time."""
    folder = bench.work / "replay"
    log_bench(bench, "append", folder, LOG_EVENTS_QUICK if bench.quick else LOG_EVENTS // 2)
    log_bench(bench, "replay", folder)
    printed = [log_bench(bench, "replay", folder) for _ in range(1 if bench.quick else 3)]
    shutil.rmtree(folder)
    median = {key: statistics.median(one[key] for one in printed) for key in printed[0]}
    yield at_least("replay", "events/s", median["events_per_s"], 2e6)
    yield at_least("replay/bytes", "bytes/s", median["bytes_per_s"])
    yield at_least("replay/log", "bytes", median["bytes"], None if bench.quick else 1e9)
    yield at_most("replay/memory", "MiB", median["memory_max_bytes"] / 2**20,
                  REPLAY_MEMORY_MIB_MAX)
