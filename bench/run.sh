#!/bin/sh
# Runs the benchmarks on this machine and prints a table; exits non-zero when a stated limit is missed. See README.md.
#   bench/run.sh [noop|latency|backfill|restore|sinks|takeover]   (all by default)
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

FRESHET_BIN=${FRESHET_BIN:-$PWD/bin/freshet}
FRESHET_BENCH_MINIMAL=$work/minimal
export FRESHET_BIN FRESHET_BENCH_MINIMAL
[ -x "$FRESHET_BIN" ] || { echo "$FRESHET_BIN is not there: run make build" >&2; exit 2; }
go build -o "$FRESHET_BENCH_MINIMAL" ./bench/noop/minimal

status=0
for what in ${*:-noop latency backfill restore sinks takeover}; do
	dir=./bench/$what run=.
	if [ "$what" = takeover ]; then # the tests of replicas, with the limits that hold on an idle machine
		dir=./internal/brokertest run='^Test(Takeover|Replicas)$'
	fi
	go test -tags bench "$dir" -run "$run" -count=1 -v -timeout 30m || status=1
done
exit $status
