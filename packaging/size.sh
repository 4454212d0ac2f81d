#!/bin/sh
# usage: size.sh
# Prints what the program weighs on every target of dist.sh, whole and small (-tags small), as it is and as xz packs it for
# flash: MB of 1,000,000 bytes.
set -eu
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mb() { awk "BEGIN { printf \"%.2f\", $1 / 1e6 }"; }
echo '| target | full | xz | small | xz |'
echo '|---|---|---|---|---|'
sed -n "/^targets='/,/^'/p" packaging/dist.sh | grep ':' | while read -r target go _; do
	printf '| %s ' "$target"
	for tags in '' small; do
		(export CGO_ENABLED=0 GOOS=linux GOARCH="${go%%:*}" "${go#*:}" &&
			go build -trimpath -buildvcs=false -gcflags=all=-l $(sed 's/.*/-gcflags=&=/' packaging/hot) -ldflags='-s -w -buildid=' ${tags:+-tags $tags} -o "$tmp/ctview" ./cmd/ctview)
		printf '| %s | %s ' "$(mb "$(wc -c <"$tmp/ctview")")" "$(mb "$(xz -9ec "$tmp/ctview" | wc -c)")"
	done
	echo '|'
done
