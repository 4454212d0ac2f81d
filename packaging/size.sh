#!/bin/sh
# usage: size.sh [FILE]
# Prints what the program weighs on every target of dist.sh, whole and small (-tags small), as it is and as xz packs it for
# flash: MB of 1,000,000 bytes. In FILE it replaces the table that has these columns.
set -eu
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mb() { awk "BEGIN { printf \"%.2f\", $1 / 1e6 }"; }
head='| target | full | xz | small | xz |'
{
	echo "$head"
	echo '|---|---|---|---|---|'
	sed -n "/^targets='/,/^'/p" packaging/dist.sh | grep ':' | while read -r target go _; do
		printf '| %s ' "$target"
		for tags in '' small; do
			(
				export CGO_ENABLED=0 GOOS=linux GOARCH="${go%%:*}" "${go#*:}"
				align=
				[ "$GOARCH" != amd64 ] || align=-funcalign=16
				# shellcheck disable=SC2046 # they are words
				go build -trimpath -buildvcs=false -gcflags=all=-l $(sed 's/.*/-gcflags=&=/' packaging/hot) -ldflags="-s -w $align -buildid=" ${tags:+-tags $tags} -o "$tmp/ctview" ./cmd/ctview
			)
			printf '| %s | %s ' "$(mb "$(wc -c <"$tmp/ctview")")" "$(mb "$(xz -9ec "$tmp/ctview" | wc -c)")"
		done
		echo '|'
	done
} >"$tmp/table"
cat "$tmp/table"
if [ -n "${1:-}" ]; then
	awk -v head="$head" -v table="$tmp/table" '
		$0 == head { while ((getline line <table) > 0) print line; inside = 1 }
		inside && !/^\|/ { inside = 0 }
		!inside' "$1" >"$tmp/new"
	cat "$tmp/new" >"$1"
fi
