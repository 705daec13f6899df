#!/usr/bin/env bash
# A short run of one fuzz target as a test: every input of its corpus, then a fixed number of new
# ones from a fixed seed. Filled in by tools/bazel/fuzz.bzl. A failing input is left in the test's
# outputs; `tests/fuzz/run TARGET FILE` runs it again.
set -euo pipefail

artifacts=${TEST_UNDECLARED_OUTPUTS_DIR:-$(pwd)}
new=$(mktemp -d "${TEST_TMPDIR:-/tmp}/fuzz-XXXXXX")
trap 'rm -rf "$new"' EXIT
export TMPDIR=$new
kept=()
if [[ -d @corpus@ ]]; then kept=(@corpus@); fi
# What the corpus holds is read first and counts as runs too.
./@program@ -seed=1 -runs=@runs@ -len_control=0 -max_len=4096 -timeout=25 -rss_limit_mb=1500 -print_final_stats=1 @options@ \
    -artifact_prefix="$artifacts/" "$new" "${kept[@]}" >"$artifacts/fuzz.log" 2>&1 || {
    tail -60 "$artifacts/fuzz.log" | cut -c1-300
    exit 1
}
tail -8 "$artifacts/fuzz.log"
