#!/usr/bin/env bash
# The five minutes of the README, line by line as they stand there. A person types slower than this: a line may need some seconds.
. "$(dirname "$0")/lib.sh"

machine >"$work/before"
mkdir "$work/bin"
ln -s "$program" "$work/bin/monokube"
printf '#!/bin/sh\nexec "$@"\n' >"$work/bin/sudo"
chmod +x "$work/bin/sudo"
export PATH=$work/bin:$PATH no_proxy='*'
sed -n '/^## Five minutes/,/^## /p' "$(dirname "$0")/../../README.md" | sed -n 's/^    //p' >"$work/lines"
ok "the README has such lines" [ "$(grep -c . "$work/lines")" -ge 8 ]
line() { timeout 60 bash -c "$1"; }
while read -r words; do
	ok "$words" within 15 line "$words"
done <"$work/lines"
clean() {
	machine >"$work/after"
	diff "$work/before" "$work/after"
}
ok "the machine is as before" within 10 clean
