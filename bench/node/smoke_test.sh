#!/bin/sh
# The plugin `objects` and the client in tiny, on a node without containers: that it works, not how
# fast it is.
set -eu
dir=$(mktemp -d /tmp/noded-node-bench-XXXXXX)
node=
finish() {
    if [ -n "$node" ]; then kill "$node" && wait "$node"; fi
    rm -rf "$dir"
}
trap finish EXIT
bench=bench/node/node_bench
host=unix:$dir/run/noded.sock
mkdir "$dir/plugins" "$dir/run"
cp bench/node/objects.so "$dir/plugins"

start() {
    agent/noded --state-dir "$dir/state" --runtime-dir "$dir/run" --plugin-dir "$dir/plugins" \
        --libexec-dir "$dir" --log-level error &
    node=$!
    tries=0
    until $bench check --host="$host" --told=/dev/null >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" = 100 ]; then exit 1; fi
        sleep 0.1
    done
}

start
$bench put --host="$host" --outstanding=64 --seconds=0.2 --told="$dir/told" --kill="$node"
wait "$node" || true
start
$bench check --host="$host" --told="$dir/told"
cp bench/node/late_objects.so "$dir/late.new"
$bench late --host="$host" --objects=64 -- "$dir/late.new" "$dir/plugins/late_objects.so"
printf 'a command that never was' >>"$dir/told"
if $bench check --host="$host" --told="$dir/told" 2>/dev/null; then exit 1; fi
