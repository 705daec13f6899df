#!/bin/sh
# Each benchmark of the log in tiny: that it works, not how fast it is.
set -eu
dir=$(mktemp -d /tmp/noded-log-bench-XXXXXX)
trap 'rm -rf "$dir"' EXIT
bench/log/log_bench one --dir="$dir/one" --events=50
bench/log/log_bench append --dir="$dir/append" --events=20000
bench/log/log_bench replay --dir="$dir/append" | grep '"events":20000,'
bench/log/log_bench commands --dir="$dir/commands" --events=20000
bench/log/log_parts --benchmark_min_time=0.001
if bench/log/log_bench replay 2>/dev/null; then exit 1; fi
