"""stats-overhead: what counting costs those who are counted. Used by metrics.py.

One per cent is less than what a machine is faster or slower a minute later. So two states are
measured within a second, the one twice between the other's two (a drift is in both then), which
gives one ratio, and ratios are added until it is certain on which side of its bar their median
lies. What a load uses is its CPU time: its duration tells also who else is busy.
"""
import contextlib
import http.client
import math
import os
import pathlib
import resource
import signal
import statistics
import subprocess
import sys
import time

import sides
from lines import at_most
from stream_metrics import answers, cpu_ns, v2_folder

NAME = "compare-overhead"
# Each has all that the one before it has: no noded; one that nobody asks; one that publishes the
# samples of all containers at 10 Hz; the same with a container in the node's network, for which
# packets are counted, too.
STATES = ("off", "idle", "all", "packets")
COMPARED_WITH = {"idle": "off", "all": "idle", "packets": "idle"}
RATIOS_MIN, SECONDS_MAX = 20, 75  # for each load and state
CERTAIN = 0.99
SETTLED_SECONDS = 0.15  # what a command had done to others is over
PIPE_LOOPS = 15_000
WEB_PORT, WEB_SECONDS, WEB_BYTES = 19481, 0.15, 1024
WEB_URL = f"http://127.0.0.1:{WEB_PORT}/"
WEB_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {work}/nginx.pid;
error_log {work}/nginx.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {work}/nginx-body;
    proxy_temp_path {work}/nginx-proxy;
    fastcgi_temp_path {work}/nginx-fastcgi;
    uwsgi_temp_path {work}/nginx-uwsgi;
    scgi_temp_path {work}/nginx-scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    server {{ listen 127.0.0.1:{port}; root {work}/web; location = /status {{ stub_status; }} }}
}}
"""


def median_lies_within(values):
    """(from, to), with certainty CERTAIN and however they are distributed: each value is below the
    median as often as a coin falls on heads. None: they are too few to say."""
    ordered, count = sorted(values), len(values)
    outside, beside = 0.0, 0
    while beside < count:
        outside += 2 * math.comb(count, beside) / 2 ** count
        if outside > 1 - CERTAIN:
            break
        beside += 1
    return (ordered[beside - 1], ordered[count - beside]) if beside > 0 else None


class Command:
    """A load that ends by itself, with processes in the container's cgroup, on one CPU: where the
    scheduler puts two would be more than what is looked for."""

    def __init__(self, group, *words):
        self.group, self.words = group, ["taskset", "-c", "0", *map(str, words)]

    def cost(self):
        """Seconds of CPU time, user and system."""
        def enter():
            (self.group / "cgroup.procs").write_text("0")

        def children_seconds():
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            return used.ru_utime + used.ru_stime

        before = children_seconds()
        done = subprocess.run(self.words, preexec_fn=enter, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise sides.Unmeasured(
                f"{self.words[3]}: status {done.returncode}: {done.stderr[-400:]}")
        return children_seconds() - before

    def go_on(self):
        """It is begun anew each time."""

    pause = go_on


class Web:
    """nginx with processes in the container's cgroup, and wrk outside of it, on one CPU both. They
    are the same all the time: of two processes of one program one is faster by what it found in
    memory."""

    def __init__(self, work, group):
        (work / "web").mkdir(exist_ok=True)
        (work / "web/index.html").write_text("x" * WEB_BYTES)
        configuration = work / "nginx.conf"
        configuration.write_text(WEB_CONFIGURATION.format(work=work, port=WEB_PORT))
        self.processes = []
        self.status = http.client.HTTPConnection("127.0.0.1", WEB_PORT, timeout=10)
        self.start(["nginx", "-c", configuration, "-g", "user root;"],
                   lambda: (group / "cgroup.procs").write_text("0"))
        try:
            answers(WEB_URL)
            self.wrk = self.start(["wrk", "-t", "1", "-c", "16", "-d", "100h", WEB_URL])
            self.pids = [*sides.processes("nginx"), self.wrk.pid]
            self.pause()
        except BaseException:
            self.stop()
            raise

    def start(self, words, enter=None):
        process = subprocess.Popen(["taskset", "-c", "0", *words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=enter)
        self.processes.append(process)
        return process

    def so_far(self):
        """CPU time in ns, and requests."""
        self.status.request("GET", "/status")
        words = self.status.getresponse().read().split()
        return sum(map(cpu_ns, self.pids)), int(words[words.index(b"requests") + 3])

    def cost(self):
        """CPU time of both sides of one request: what a packet costs more may fall on either."""
        time.sleep(WEB_SECONDS / 5)
        ns, requests = self.so_far()
        time.sleep(WEB_SECONDS)
        ns_now, requests_now = self.so_far()
        return (ns_now - ns) / (requests_now - requests)

    def go_on(self):
        os.kill(self.wrk.pid, signal.SIGCONT)

    def pause(self):
        os.kill(self.wrk.pid, signal.SIGSTOP)

    def stop(self):
        self.status.close()
        for process in reversed(self.processes):
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait()


class Node:
    """noded, which is halted at first, from one of the states to a neighbour of it and back."""

    def __init__(self, noded):
        self.noded, self.watcher = noded, None
        self.at = 0
        noded.halt()

    def go_to(self, state):
        ways = {"idle": (self.start, self.noded.halt), "all": (self.ask, self.ask_no_more),
                "packets": (self.share_network, self.share_network_no_more)}
        to = STATES.index(state)
        while self.at < to:
            self.at += 1
            ways[STATES[self.at]][0]()
        while self.at > to:
            ways[STATES[self.at]][1]()
            self.at -= 1

    def start(self):
        self.noded.start()
        time.sleep(1)  # the programs are loaded in the background

    def ask(self):
        self.watcher = subprocess.Popen(self.noded.command("sub", "stats@10/"),
                                        env=self.noded.env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)
        time.sleep(SETTLED_SECONDS)

    def ask_no_more(self):
        self.watcher.terminate()
        self.watcher.wait()
        time.sleep(SETTLED_SECONDS)

    def share_network(self):
        self.noded.ask("run", "-d", "--name", f"{NAME}-host", "--network", "host", sides.IMAGE,
                       "sleep", "100000")
        time.sleep(SETTLED_SECONDS)

    def share_network_no_more(self):
        self.noded.remove(f"{NAME}-host")
        time.sleep(SETTLED_SECONDS)


class Load:
    """One that is measured. `bars`: in which states, and how many per cent more than in the state
    that each is compared with it may use there."""

    def __init__(self, name, source, bars):
        self.name, self.source, self.bars = name, source, bars

    def measure(self, node, state, quick):
        """How many per cent more it uses, each time that it was looked at."""
        more, until = [], time.monotonic() + (2 if quick else SECONDS_MAX)
        self.source.go_on()
        self.source.cost()  # what was on the disk is in memory then
        while not more or time.monotonic() < until:
            node.go_to(COMPARED_WITH[state])
            usual = self.source.cost()
            node.go_to(state)
            used = self.source.cost() + self.source.cost()
            node.go_to(COMPARED_WITH[state])
            usual += self.source.cost()
            more.append((used / usual - 1) * 100)
            if len(more) >= RATIOS_MIN and self.is_certain(state, more):
                break
        self.source.pause()
        return more

    def is_certain(self, state, more):
        """The median is on one side of its bar, whichever it is."""
        within = median_lies_within(more)
        return within is not None and not within[0] <= self.bars[state] < within[1]

    def lines(self, node, quick):
        for state, bar in self.bars.items():
            name, more = f"stats-overhead/{self.name}/{state}", self.measure(node, state, quick)
            if not self.is_certain(state, more):
                print(f"compare: {name}: the machine is not quiet enough to tell on which side of "
                      f"{bar} % it is", file=sys.stderr)
            yield at_most(name, "%", statistics.median(more), bar)
            if within := median_lies_within(more):
                yield at_most(f"{name}: from", "%", within[0])
                yield at_most(f"{name}: to", "%", within[1])
            yield at_most(f"{name}: looked at", "times", len(more))


def noded_percent(node):
    """What noded itself uses of a CPU while it is asked."""
    node.go_to("all")
    before, begun = cpu_ns(node.noded.pid), time.monotonic_ns()
    time.sleep(5)
    return (cpu_ns(node.noded.pid) - before) / (time.monotonic_ns() - begun) * 100


def stats_overhead(bench):
    """Two processes that wake each other as fast as they can are the worst case there is; a
    compiler and a web server are real loads."""
    noded = bench.noded
    noded.start_sleeper(NAME)
    with contextlib.ExitStack() as after:
        after.callback(noded.remove, NAME)
        group = v2_folder(int(noded.ask("inspect", "--format", "{{.State.Pid}}", NAME)))
        web = Web(bench.work, group)
        after.callback(web.stop)
        pipe = Command(group, "perf", "bench", "sched", "pipe", "-l", PIPE_LOOPS)
        source = bench.root / "bench/compare/spawn_timer.cc"
        compiler = Command(group, "g++", "-std=c++23", "-O2", "-c", source, "-o",
                           bench.work / "overhead.o")
        node = Node(noded)
        after.callback(node.go_to, "idle")
        for load in (Load("pipe", pipe, {"idle": 2, "all": 8}),
                     Load("web", web, {"idle": 1, "all": 1, "packets": 1}),
                     Load("compile", compiler, {"idle": 1, "all": 1})):
            yield from load.lines(node, bench.quick)
        yield at_most("stats-overhead: noded", "% of a CPU", noded_percent(node))
