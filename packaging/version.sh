#!/bin/sh
# Prints what this tree is: its version, the time of its commit (Unix seconds), the commit. A tag vX.Y.Z is X.Y.Z; what
# comes after it is X.Y.Z+1-gitDATE, and before the first tag 0.0.0-gitDATE. In a tar ball git archive wrote it into
# packaging/version.
set -eu
cd "$(dirname "$0")/.."
if git rev-parse --git-dir >/dev/null 2>&1 && [ "$(git rev-parse --show-toplevel)" = "$PWD" ]; then
	tag=$(git describe --tags --match 'v*' 2>/dev/null || :)
	time=$(git log -1 --format=%ct)
	commit=$(git log -1 --format=%H)
else
	{ read -r tag; read -r time; read -r commit; } <packaging/version
	case $time in *Format*) tag='' time=0 commit=unknown ;; esac
fi
day=$(date -u -d "@$time" +%Y%m%d)
case $tag in
v*-*-g*)
	base=${tag#v}
	base=${base%-*-g*}
	version=${base%.*}.$((${base##*.} + 1))-git$day ;;
v*) version=${tag#v} ;;
*) version=0.0.0-git$day ;;
esac
echo "$version $time $(echo "$commit" | cut -c1-12)"
