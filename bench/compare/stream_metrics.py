"""The metrics of figures and streams: what it costs to know what containers use, one scrape, and
ten followers of a log. Used by metrics.py.

What a daemon uses is its CPU time, user and system, so the kernel's work for its reads is in it.
"""
import json
import pathlib
import statistics
import subprocess
import time
import urllib.request

import sides
from lines import at_most, times_better
from output_metrics import cpu_seconds

CONTAINERS, CONTAINERS_QUICK, CONTAINERS_DOCKER = 300, 20, 20
SECONDS, SECONDS_QUICK = 20, 4
FOLLOWERS = 10
GATEWAY = "127.0.0.1:19480"
EXPORTER = "127.0.0.1:19100"


def fill(side, count):
    for number in range(count):
        side.start_sleeper(f"compare-stats-{number}")
    time.sleep(3)


def sub(bench, *topics):
    """A subscriber that reads as fast as messages come, on noded's endpoint."""
    return subprocess.Popen(bench.noded.command("sub", "-o", "json", *topics), env=bench.noded.env,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def used_while(pids, seconds):
    before = cpu_seconds(pids)
    time.sleep(seconds)
    return cpu_seconds(pids) - before


def stats_cost(bench):
    """CPU per container and sample. docker takes one a second; with all its followers' work."""
    count = CONTAINERS_QUICK if bench.quick else CONTAINERS
    seconds = SECONDS_QUICK if bench.quick else SECONDS
    docker_count = min(count, CONTAINERS_DOCKER)
    fill(bench.noded, count)
    fill(bench.docker, docker_count)
    try:
        reader = subprocess.Popen(bench.docker.command("stats"), env=bench.docker.env,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(3)
        peer = used_while(bench.docker.daemon_pids(), seconds) / docker_count / seconds
        reader.terminate()
        reader.wait()
        for rate in (1, 10):
            watcher = sub(bench, "stats/" if rate == 1 else f"stats@{rate}/")
            time.sleep(2)
            ours = used_while([bench.noded.pid], seconds) / count / seconds / rate
            watcher.terminate()
            watcher.wait()
            yield times_better(f"stats-cost/{count}@{rate}Hz", "us", ours * 1e6, peer * 1e6, 300)
    finally:
        bench.noded.remove_all()
        bench.docker.remove_all()


def stats_accuracy(bench):
    """CPU time of short-lived processes beside a loop, as told and as the cgroup has it, when all
    of it is over."""
    script = ("i=0; while [ $i -lt 300 ]; do /bin/busybox true; i=$((i+1)); done; "
              "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 100000")
    name = "compare-accuracy"
    bench.noded.ask("run", "-d", "--name", name, "--network", "none", sides.IMAGE, "sh", "-c",
                    script)
    try:
        pid = int(bench.noded.ask("inspect", "--format", "{{.State.Pid}}", name))
        cgroup = next(line.split(":", 2)[2].strip()
                      for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().split("\n")
                      if line.startswith("0::"))
        unified = pathlib.Path("/sys/fs/cgroup/unified")
        top = unified if unified.exists() else unified.parent
        file = top / cgroup[1:] / "cpu.stat"

        def kernel_us():
            return int(file.read_text().split("usage_usec ")[1].split("\n")[0])

        last = -1
        while kernel_us() != last:
            last = kernel_us()
            time.sleep(1)
        answer = json.loads(bench.noded.ask("call", "stats", "read",
                                            json.dumps({"containers": [name], "once": True})))
        told = int(answer["samples"][0]["containers"][0]["cpu"]["totalNs"]) / 1000
        execs = answer["samples"][0]["containers"][0].get("kernel", {}).get("execs", 300)
    finally:
        bench.noded.remove(name)
    yield at_most("stats-accuracy/cpu", "%", abs(told - last) / last * 100, 0.5)
    yield at_most("stats-accuracy/execs", "%", abs(int(execs) - 300) / 300 * 100, 0.5)


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
