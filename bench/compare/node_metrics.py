"""The metrics of a whole node: commands through RPC against etcd and redis, restart, and what a
snapshot costs those who wait. Used by metrics.py.
"""
import contextlib
import shutil
import signal
import statistics

import sides
import stores
from lines import Line, at_least, at_most, times_more
from log_metrics import log_bench

MANY = 64
ETCD_CLIENTS, ETCD_CONNECTIONS = 1000, 10
RECORDS, OBJECTS = 1000, 1_000_000
COMMANDS_QUICK = 100_000


@contextlib.contextmanager
def stopped_after(side):
    try:
        yield side
    finally:
        side.stop()


def load(bench, verb, host, outstanding, connections=1):
    seconds = 1 if bench.quick else 2
    return stores.node_bench(bench, verb, host, f"--outstanding={outstanding}",
                             f"--connections={connections}", f"--seconds={seconds}")


def put_and_kill(bench, node, outstanding):
    """The rate, and that all that was acknowledged is there after kill -9."""
    told = bench.work / "told"
    node.start()
    printed = node.measure("put", f"--outstanding={outstanding}", f"--told={told}",
                           f"--kill={node.pid}", f"--seconds={1 if bench.quick else 2}")
    node.wait_ended()
    node.start()
    checked = node.measure("check", f"--told={told}")
    if checked["acknowledged_and_found"] < printed["answers"]:
        raise sides.Unmeasured("fewer commands were checked than acknowledged")
    return printed


def put_rounds(bench, outstanding, count):
    """Each on a node of its own, because a number is put only once."""
    printed = []
    for number in range(count):
        with stopped_after(stores.Node(bench, f"node-{outstanding}-{number}")) as node:
            printed.append(put_and_kill(bench, node, outstanding))
    return {key: statistics.median(one[key] for one in printed) for key in printed[0]}


def durable_append_1000(bench):
    """Two ways to durable commands: in process with 1,000 in flight, and through RPC with 64 on
    one connection. And two measures of etcd: its own (`etcdctl check perf` with the largest load,
    which etcd does not reach here, so that its rate limits nothing), and a raw load of ours over
    its gRPC interface with as many puts outstanding as serve it best, for which it was not made
    to be asked: no client in Go, no answer read but for its end."""
    rounds = 1 if bench.quick else 3
    inside = []
    for _ in range(rounds):
        folder = bench.work / "commands"
        inside.append(log_bench(bench, "commands", folder,
                                COMMANDS_QUICK if bench.quick else 0)["commands_per_s"])
        shutil.rmtree(folder)
    through = put_rounds(bench, MANY, rounds)["per_s"]
    with stopped_after(stores.etcd(bench.work)):
        own = stores.etcd_own_measure("s" if bench.quick else "xl")
        raw = max(statistics.median(
            load(bench, "etcd", str(stores.ETCD_PORT), clients, connections)["per_s"]
            for _ in range(rounds))
            for clients, connections in ((MANY, 1), (ETCD_CLIENTS, ETCD_CONNECTIONS)))
    if own > 0.95 * stores.ETCD_RATES["xl"]:
        own = max(own, raw)   # its rate did limit it
    for name, ours, bar in (("1000", statistics.median(inside), 100), ("rpc", through, 10)):
        yield times_more(f"durable-append-{name}/etcd", "writes/s", ours, own, bar)
        yield times_more(f"durable-append-{name}/raw-etcd", "writes/s", ours, raw)


def pipeline(bench):
    rounds = 1 if bench.quick else 3
    peers = {"etcd": (stores.etcd, str(stores.ETCD_PORT)),
             "redis": (stores.redis, stores.REDIS_SOCKET)}
    for outstanding in (1, MANY):
        ours = put_rounds(bench, outstanding, rounds)
        yield at_least(f"pipeline/{outstanding}", "commands/s", ours["per_s"])
        for peer, (start, host) in peers.items():
            with stopped_after(start(bench.work)):
                runs = [load(bench, peer, host, outstanding) for _ in range(rounds)]
            theirs = {key: statistics.median(one[key] for one in runs) for key in runs[0]}
            name = f"pipeline/{outstanding}/{peer}"
            yield times_more(name, "commands/s", ours["per_s"], theirs["per_s"])
            for key in ("p50_us", "p99_us"):
                yield Line(f"{name}/{key[:3]}", "us", ours[key], theirs[key],
                           ours[key] / theirs[key], None, False)


def restart(bench):
    """1,000 records of containers, none of which runs; after kill -9 and after a clean stop."""
    records = 20 if bench.quick else RECORDS
    tar = bench.work / "restart-rootfs.tar"
    sides.run([bench.root / "ops/busybox-rootfs", tar])
    times = {"kill": [], "stop": []}
    with stopped_after(stores.Node(bench, "node-restart")) as node:
        node.start()
        node.nodectl("image", "import", tar, sides.IMAGE)
        for _ in range(records):
            node.nodectl("create", "--network", "none", sides.IMAGE, "true")
        for _ in range(2 if bench.quick else 7):
            for how, number in (("kill", signal.SIGKILL), ("stop", signal.SIGTERM)):
                node.kill(number)
                printed = node.measure("first-answer", "--", *map(str, node.command))
                node.pid = printed["pid"]
                times[how].append(printed["answered_ms"])
        if len(node.nodectl("ps", "-a", "-q").split()) != records:
            raise sides.Unmeasured("the node lost containers")
    for how, values in times.items():
        yield at_most(f"restart/{how}", "ms", statistics.median(values), 100)


def snapshot_pause(bench):
    """Reads and commands of an open-loop client while a replica writes a million objects."""
    objects = 50_000 if bench.quick else OBJECTS
    reads, puts, quiet = [], [], []
    with stopped_after(stores.Node(bench, "node-pause", {"snapshotEveryEvents": 1000})) as node:
        node.start()
        node.measure("fill", f"--objects={objects}")
        for _ in range(1 if bench.quick else 5):
            printed = node.measure("pause", f"--objects={objects}")
            reads.append(printed["read_max_us"] / 1e3)
            puts.append(printed["put_max_us"] / 1e3)
    with stopped_after(stores.Node(bench, "node-quiet")) as node:
        node.start()
        for _ in range(1 if bench.quick else 5):
            printed = node.measure("quiet", f"--objects={objects}")
            quiet.append(printed["read_max_us"] / 1e3)
    yield at_most("snapshot-pause", "ms", statistics.median(reads), 5)
    yield at_most("snapshot-pause/no-snapshot", "ms", statistics.median(quiet))
    yield at_most("snapshot-pause/commands", "ms", statistics.median(puts))


def late_pause(bench):
    """The same while a plugin that was dropped in folds the history of a million events."""
    objects = 50_000 if bench.quick else OBJECTS
    reads, puts = [], []
    for number in range(1 if bench.quick else 3):
        with stopped_after(stores.Node(bench, f"node-late-{number}")) as node:
            node.start()
            node.measure("fill", f"--objects={objects}")
            made = node.runtime / "late.new"
            shutil.copy(bench.tool("late_objects.so"), made)
            printed = node.measure("late", f"--objects={objects}", "--", str(made),
                                   str(node.runtime / "plugins/late_objects.so"))
            reads.append(printed["read_max_us"] / 1e3)
            puts.append(printed["put_max_us"] / 1e3)
            yield at_least(f"late-pause/rate-{number + 1}", "events/s",
                           objects / printed["seconds"])
    yield at_most("late-pause", "ms", statistics.median(reads), 5)
    yield at_most("late-pause/commands", "ms", statistics.median(puts))
