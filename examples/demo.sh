#!/usr/bin/env bash
# make demo: indexes a copy of this repository's pages into SQLite, edits one page while that runs, and searches. Needs no
# service, leaves everything in bin/demo, and ends by itself.
#
# FRESHET names the binary, DEMO_DIR an empty place for the copy; both have defaults.
set -euo pipefail
cd "$(dirname "$0")/.."

freshet=${FRESHET:-bin/freshet}
dir=${DEMO_DIR:-bin/demo}
flow=$dir/examples/handbook.yaml
page=docs/concepts/one-edit.md
before='Thirty-nine chunks find theirs.'
after='Thirty-nine chunks find theirs, like books on a shelf.'
question='what costs: parsing, cutting, or embedding?'

fail() {
  echo "demo: $*" >&2
  [ ! -s "$dir/log" ] || cat "$dir/log" >&2
  exit 1
}

# status asks the running process, once it has said where it can be asked.
status() {
  [ -e "$dir/examples/.freshet/handbook/control.addr" ] && "$freshet" status -f "$flow" --json 2>/dev/null | tr -d ' \n'
}

# number FIELD: the first number of that name in the status.
number() { grep -o "\"$1\":[0-9]*" <<<"$now" | head -n 1 | cut -d: -f2; }

# count NAME FIELD: a number of a node or a table since the start.
count() { grep -o "\"$1\":{[^}]*}" <<<"$now" | grep -o "\"$2\":[0-9]*" | head -n 1 | cut -d: -f2; }

# await N: waits until N documents were evaluated and the target has caught up, twice in a row.
await() {
  local calm=0
  while [ "$calm" -lt 2 ]; do
    kill -0 "$pid" 2>/dev/null || fail "freshet dev ended too early"
    [ "$SECONDS" -lt 55 ] || fail "not caught up after $SECONDS s"
    if now=$(status) && [ "$(number evaluated)" = "$1" ] && [ "$(number lag)" = 0 ]; then
      calm=$((calm + 1))
    else
      calm=0
    fi
    sleep 0.05
  done
}

stop() {
  kill -INT "$pid" 2>/dev/null || return 0
  wait "$pid" 2>/dev/null || true
}

# The copy that is indexed and edited.
[ "$dir" != bin/demo ] || rm -rf "$dir"
mkdir -p "$dir/examples"
cp -R README.md docs "$dir"
cp examples/handbook.yaml "$flow"
files=$(find "$dir/README.md" "$dir/docs" -name '*.md' | wc -l | tr -d ' ')

echo "1. Index $files pages of this repository, and keep watching them"
echo "   \$ freshet dev -f $flow"
"$freshet" dev -f "$flow" >"$dir/log" 2>&1 &
pid=$!
trap stop EXIT
await "$files"
embedded=$(count vector computed) reused=$(count vector reused) written=$(count chunks upserts) deleted=$(count chunks deletes)
echo "   $(number evaluated) documents, $embedded chunks embedded, $written rows in SQLite, after $SECONDS s"

echo
echo "2. Edit one page while it runs: $dir/$page"
text=$(<"$dir/$page")
[ "$text" != "${text/"$before"/"$after"}" ] || fail "$page lacks the sentence that the demo changes"
echo "   - $before"
echo "   + $after"
printf '%s\n' "${text/"$before"/"$after"}" >"$dir/edited"
mv "$dir/edited" "$dir/$page"
await $((files + 1))
echo "   chunks embedded: $(($(count vector computed) - embedded)), reused: $(($(count vector reused) - reused));" \
  "rows written: $(($(count chunks upserts) - written)), deleted: $(($(count chunks deletes) - deleted))"
[ $(($(count vector computed) - embedded)) = 1 ] || fail "expected one chunk to be embedded"

echo
echo "3. Search it"
echo "   \$ freshet search local \"$question\" -k 1 -f $flow"
"$freshet" search local "$question" -k 1 -f "$flow" | sed 's/^/   /'

stop
trap - EXIT
echo
echo "The index is $dir/examples/handbook.db: any SQLite tool opens it. The next start goes on where this one was:"
echo "   \$ freshet dev -f $flow"
