"""The metrics of figures and streams: what it costs to know what containers use, one scrape,
messages from process to process, and ten followers of a log. Used by metrics.py.

What a daemon uses is its CPU time, user and system, so the kernel's work for its reads is in it.
"""
import json
import pathlib
import socket
import statistics
import subprocess
import time
import urllib.request

import sides
from lines import at_most, times_better, times_more
from output_metrics import cpu_seconds

CONTAINERS, CONTAINERS_QUICK, CONTAINERS_DOCKER = (300, 1000), 20, 100
SECONDS, SECONDS_COST, SECONDS_QUICK = 20, 10, 4
FOLLOWERS = 10
GATEWAY = "127.0.0.1:19480"
EXPORTER = "127.0.0.1:19100"


def fill(side, count):
    for number in range(count):
        side.start_sleeper(f"compare-stats-{number}")
    time.sleep(3)


def cpu_ns(pid):
    """Time on a CPU so far, user and system, of all threads that live (proc(5), schedstat)."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(task.read_text().split()[0])
        except OSError:
            pass  # it has just ended
    return total


def used_ns_while(groups, seconds):
    """What each group of processes, by name, used in so many seconds."""
    before = {name: sum(map(cpu_ns, pids)) for name, pids in groups.items()}
    time.sleep(seconds)
    return {name: sum(map(cpu_ns, pids)) - before[name] for name, pids in groups.items()}


def docker_sample_us(bench, count, seconds):
    """CPU per container and sample of `docker stats`, which takes one a second, by its parts: the
    shims read the files, for containerd, for dockerd, which encodes all for the client."""
    fill(bench.docker, count)
    try:
        reader = subprocess.Popen(bench.docker.command("stats"), env=bench.docker.env,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(3)
        used = used_ns_while({"dockerd": sides.processes("dockerd"),
                              "containerd": sides.processes("containerd"),
                              "shims": bench.docker.shim_pids(),
                              "client": [reader.pid]}, seconds)
        reader.terminate()
        reader.wait()
        return {name: ns / count / seconds / 1e3 for name, ns in used.items()}
    finally:
        bench.docker.remove_all()


def our_sample_us(bench, count, rate, seconds, json_form):
    """CPU per container and sample: of noded and of a subscriber to all."""
    topic = f"stats@{rate}/"
    words = ("sub", "-o", "json", topic) if json_form else ("sub", topic)
    watcher = subprocess.Popen(bench.noded.command(*words), env=bench.noded.env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        time.sleep(2)
        used = used_ns_while({"noded": [bench.noded.pid], "client": [watcher.pid]}, seconds)
    finally:
        watcher.terminate()
        watcher.wait()
    return {name: ns / count / seconds / rate / 1e3 for name, ns in used.items()}


def file_reader_us(bench, rate, seconds):
    names = bench.noded.ask("ps", "-q", "--no-trunc").split()
    pids = bench.noded.ask("inspect", "--format", "{{.State.Pid}}", *names).split()
    printed = sides.run([bench.tool("file_reader"), rate, seconds, *pids]).split()
    return float(printed[0]) / 1e3


def stats_cost(bench):
    """CPU per container and sample, the kernel's work in it, against docker's daemons without and
    with the shims that read the files for them, and against nothing but the reading."""
    seconds = SECONDS_QUICK if bench.quick else SECONDS_COST
    counts = (CONTAINERS_QUICK,) if bench.quick else CONTAINERS
    docker = docker_sample_us(bench, min(counts[0], CONTAINERS_DOCKER), seconds)
    for part, used in docker.items():
        yield at_most(f"stats-cost/docker: {part}", "us", used)
    running = 0
    try:
        for count in counts:
            for number in range(running, count):
                bench.noded.start_sleeper(f"compare-stats-{number}")
            running = count
            time.sleep(3)
            for rate in (1, 10):
                name = f"stats-cost/{count}@{rate}Hz"
                ours = our_sample_us(bench, count, rate, seconds, False)
                files = file_reader_us(bench, rate, seconds)
                in_json = our_sample_us(bench, count, rate, seconds, True)
                yield times_better(name, "us", ours["noded"], sum(docker.values()), 300)
                yield times_better(f"{name}/reader", "us", ours["noded"], files, 5)
                yield at_most(f"{name}: client", "us", ours["client"])
                yield at_most(f"{name}: JSON", "us", in_json["noded"])
    finally:
        bench.noded.remove_all()


ACCURACY_RUNS = 300
LOADED_SECONDS = 1


def v2_folder(pid):
    cgroup = next(line[3:] for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().split("\n")
                  if line.startswith("0::"))
    unified = pathlib.Path("/sys/fs/cgroup/unified")
    return (unified if unified.exists() else unified.parent) / cgroup[1:]


def stats_accuracy(bench):
    """A mixed load, when all of it is over: CPU time of short-lived processes beside a loop, as
    told and as the cgroup has it; and how many programs were executed, the shell itself included.
    It is the first container of this node, which is the hardest one to count for, a moment after
    the node's start: for that long the kernel checks the programs, and counts nothing yet."""
    node = bench.noded
    time.sleep(LOADED_SECONDS)
    script = (f"i=0; while [ $i -lt {ACCURACY_RUNS} ]; do /bin/busybox true; i=$((i+1)); done; "
              "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 100000")
    name = "compare-accuracy"
    node.ask("run", "-d", "--name", name, "--network", "none", sides.IMAGE, "sh", "-c",
                    script)
    try:
        pid = int(node.ask("inspect", "--format", "{{.State.Pid}}", name))
        file = v2_folder(pid) / "cpu.stat"

        def kernel_us():
            return int(file.read_text().split("usage_usec ")[1].split("\n")[0])

        last = -1
        while kernel_us() != last:
            last = kernel_us()
            time.sleep(1)
        answer = json.loads(node.ask("call", "stats", "read",
                                            json.dumps({"containers": [name], "once": True})))
        row = answer["samples"][0]["containers"][0]
        told = int(row["cpu"]["totalNs"]) / 1000
        if "kernel" not in row:
            raise sides.Unmeasured("this kernel takes no eBPF programs: nothing counts executions")
        execs = int(row["kernel"]["execs"])
    finally:
        node.remove(name)
    # Beside the loop's: the shell and the sleep at its end.
    expected = ACCURACY_RUNS + 2
    yield at_most("stats-accuracy/cpu", "%", abs(told - last) / last * 100, 0.5)
    yield at_most("stats-accuracy/execs", "%", abs(execs - expected) / expected * 100, 0.5)


def scrape_ms(url, runs):
    times = []
    for _ in range(runs):
        begin = time.monotonic_ns()
        with urllib.request.urlopen(url) as answer:
            answer.read()
        times.append((time.monotonic_ns() - begin) / 1e6)
    return statistics.median(times)


def answers(url):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url).read()
            return
        except OSError:
            time.sleep(0.1)
    raise sides.Unmeasured(f"{url} does not answer")


def listens(address, port):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address, port)).close()
            return
        except OSError:
            time.sleep(0.1)
    raise sides.Unmeasured(f"nobody listens at {address}:{port}")


def scrape(bench):
    """One scrape of the node's figures, no container runs: ours is noded and the gateway."""
    runs = 10 if bench.quick else 100
    gateway = subprocess.Popen([bench.work / "prefix/bin/noded-gateway", "--listen", GATEWAY],
                               env=bench.noded.env, stdout=subprocess.DEVNULL)
    exporter = subprocess.Popen(
        ["/usr/bin/prometheus-node-exporter", f"--web.listen-address={EXPORTER}",
         "--collector.disable-defaults", "--collector.cpu", "--collector.meminfo",
         "--collector.diskstats", "--collector.filesystem", "--collector.netdev",
         "--collector.loadavg", "--collector.pressure", "--collector.stat", "--collector.uname",
         "--collector.time"], stderr=subprocess.DEVNULL)
    try:
        figures = {}
        for name, url, pids in (("ours", f"http://{GATEWAY}/metrics",
                                 [bench.noded.pid, gateway.pid]),
                                ("peer", f"http://{EXPORTER}/metrics", [exporter.pid])):
            answers(url)
            scrape_ms(url, 10)
            before = cpu_seconds(pids)
            wall = scrape_ms(url, runs)
            figures[name] = wall, (cpu_seconds(pids) - before) / runs * 1e3
    finally:
        for process in (gateway, exporter):
            process.terminate()
            process.wait()
    yield times_better("scrape/time", "ms", figures["ours"][0], figures["peer"][0], None)
    yield times_better("scrape/cpu", "ms", max(figures["ours"][1], 0.01), figures["peer"][1], None)


NATS_PORT = 19482


def pubsub(bench):
    """The benchmark itself lets the sides take turns; a peer beside it is the server."""
    words = ("--seconds", 1, "--rounds", 1) if bench.quick else ("--seconds", 2, "--rounds", 7)
    server = subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", str(NATS_PORT)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        listens("127.0.0.1", NATS_PORT)
        figures = json.loads(sides.run([bench.tool("pubsub_bench"), "--nats", NATS_PORT, *words]))
    finally:
        server.terminate()
        server.wait()
    for peer, name in (("nats", "nats-server"), ("bare", "libzmq")):
        rate, p50, p99 = (figures[part] for part in ("messages_per_s", "p50_us", "p99_us"))
        yield times_more(f"pubsub/{name}", "messages/s", rate["ours"], rate[peer])
        yield times_better(f"pubsub/{name}/p50", "us", p50["ours"], p50[peer], None)
        yield times_better(f"pubsub/{name}/p99", "us", p99["ours"], p99[peer], None)


def follow(bench, side, words):
    """CPU of the managers while ten follow a container that writes 1,000 lines a second."""
    seconds = SECONDS_QUICK if bench.quick else SECONDS
    name = "compare-follow"
    side.ask("run", "-d", "--name", name, "--network", "none", sides.IMAGE, "sh", "-c",
             "while :; do i=0; while [ $i -lt 100 ]; do echo 0123456789 a line of a program; "
             "i=$((i+1)); done; sleep 0.1; done")
    followers = [subprocess.Popen(side.command(*words, name if words[0] == "logs"
                                               else f"log/{name}/stdout"),
                                  env=side.env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL) for _ in range(FOLLOWERS)]
    try:
        time.sleep(2)
        managers = sorted({*side.daemon_pids(), *side.shim_pids()})
        everyone = managers + [follower.pid for follower in followers]
        before = cpu_seconds(managers), cpu_seconds(everyone)
        time.sleep(seconds)
        return tuple((now - then) / seconds * 100 for now, then in
                     zip((cpu_seconds(managers), cpu_seconds(everyone)), before))
    finally:
        for follower in followers:
            follower.terminate()
            follower.wait()
        side.remove(name)


def logs_follow_10(bench):
    ours = follow(bench, bench.noded, ("sub",))
    files = follow(bench, bench.noded, ("logs", "-f"))
    peer = follow(bench, bench.docker, ("logs", "-f"))
    yield times_better("logs-follow-10/sub", "% CPU", max(ours[0], 0.01), peer[0], None)
    yield times_better("logs-follow-10/logs -f", "% CPU", max(files[0], 0.01), peer[0], None)
    yield times_better("logs-follow-10/all", "% CPU", max(ours[1], 0.01), peer[1], None)
