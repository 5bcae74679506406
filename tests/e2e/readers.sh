#!/usr/bin/env bash
# A whole server and peers that mean harm: readers that stop, requests that never end. STALL=60 makes them stop for a minute.
. "$(dirname "$0")/lib.sh"

"$program" server --data "$work/data" --nodes 0 --listen 127.0.0.1:16443 --write-kubeconfig "$work/kubeconfig" >"$work/server.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; finish' EXIT
answers() { k get --raw /readyz; }
ok "the server answers" within 20 answers
python3 "$(dirname "$0")/../attack/readers" "$work/kubeconfig" $server "${STALL:-12}" >"$work/readers" 2>&1
ended=$?
awk -v n=$number '/^1\.\./ { next } /^(not )?ok / { sub(/[0-9]+/, ++n) } { print }' "$work/readers"
number=$((number + $(grep -cE '^(ok|not ok) ' "$work/readers"))) failures=$((failures + $(grep -cE '^not ok ' "$work/readers")))
ok "the readers came to their end" test $ended = 0
