#!/bin/sh
# usage: dist.sh [TARGET…]
# Builds the release below dist/: static binaries, packages, licences, SBOM, checksums. The same tree gives the same bytes,
# wherever it lies.
set -eu
cd "$(dirname "$0")/.."
out=$PWD/dist
stage=$out/stage
# target  GOARCH and its variable        deb       rpm          apk          OpenWrt (- for what it does not run on)
targets='
amd64    amd64:GOAMD64=v1                amd64     x86_64       x86_64       x86_64
arm64    arm64:GOARM64=v8.0              arm64     aarch64      aarch64      aarch64_generic
armv5    arm:GOARM=5                     armel     armv5tel     -            arm_arm926ej-s
armv6    arm:GOARM=6                     -         armv6hl      armhf        arm_arm1176jzf-s_vfp
armv7    arm:GOARM=7                     armhf     armv7hl      armv7        arm_cortex-a7_neon-vfpv4
386      386:GO386=softfloat             i386      i586         x86          i386_pentium-mmx
mips     mips:GOMIPS=softfloat           mips      mips         -            mips_24kc
mipsle   mipsle:GOMIPS=softfloat         mipsel    mipsel       -            mipsel_24kc
mips64   mips64:GOMIPS64=softfloat       mips64    mips64       mips64       mips64_octeonplus
mips64le mips64le:GOMIPS64=softfloat     mips64el  mips64el     -            mips64el_mips64r2
ppc64le  ppc64le:GOPPC64=power8          ppc64el   ppc64le      ppc64le      -
riscv64  riscv64:GORISCV64=rva20u64      riscv64   riscv64      riscv64      riscv64_generic
s390x    s390x:GOARCH=s390x              s390x     s390x        s390x        -
loong64  loong64:GOARCH=loong64          loong64   loongarch64  loongarch64  loongarch64_generic
'
read -r version time commit <<END
$(sh packaging/version.sh)
END
export CGO_ENABLED=0 GOOS=linux GOFLAGS='-trimpath -buildvcs=false' SOURCE_DATE_EPOCH="$time" TZ=UTC LC_ALL=C
tool() { GOOS='' GOARCH='' GOFLAGS='' go tool -modfile=packaging/tools.mod "$@"; }

rm -rf "$out"
mkdir -p "$stage/completions" "$stage/man"
gcflags="-gcflags=all=-l $(sed 's/.*/-gcflags=&=/' packaging/hot)" # see the Makefile
# shellcheck disable=SC2086 # they are words
build() {
	align=
	[ "$(go env GOARCH)" != amd64 ] || align=-funcalign=16
	go build $gcflags -ldflags="-s -w $align -buildid= -X main.release=$version-$commit" ${TAGS:+-tags "$TAGS"} -o "$1" "$2"
}

# licences NAME PACKAGE: those of a program and of what is linked into it.
licences() {
	echo "$1 is under the licence below; what is linked into it, under those that follow."
	cat LICENSE
	printf '\n\n==== Go standard library and runtime (%s)\n\n' "$(go env GOVERSION | cut -d' ' -f1)"
	cat "$(go env GOROOT)/LICENSE"
	go list -deps -f '{{with .Module}}{{if and .Version (not .Replace)}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' "$2" | sort -u | while read -r path v dir; do
		printf '\n\n==== %s %s\n\n' "$path" "$v"
		cat "$dir"/LICEN[SC]E* "$dir"/COPYING* 2>/dev/null || :
	done
}

# What all packages have.
for page in packaging/man/*.[1-8] packaging/exporter/*.8; do gzip -9nc "$page" >"$stage/man/$(basename "$page").gz"; done
for p in ctview:./cmd/ctview ctview-exporter:./cmd/ctview/exporter; do
	name=${p%%:*}
	GOARCH=$(go env GOHOSTARCH) build "$stage/$name" "${p#*:}"
	licences "$name" "${p#*:}" >"$stage/$name.licences"
	tool cyclonedx-gomod bin -json -std -noserial -notimestamp -version "$version" -output "$out/$name-$version.cdx.json" "$stage/$name"
done
for s in bash zsh fish; do "$stage/ctview" completion $s >"$stage/completions/$s"; done
cp "$stage/ctview.licences" "$out/LICENCES"
cp "$stage/ctview-exporter.licences" "$out/LICENCES-exporter"

# package FORMAT ARCH FILE: one package of the binary in $bin, as $config says.
package() {
	[ "$2" != - ] || return 0
	sed -e "s|@ARCH@|$2|; s|@VERSION@|$version|; s|@BINARY@|$bin|; s|@STAGE@|$stage|" "packaging/$config" >"$stage/nfpm.yaml"
	(cd packaging && GOFLAGS='' GOOS='' GOARCH='' "$stage/nfpm" package -f "$stage/nfpm.yaml" -p "$1" -t "$3" >"$stage/nfpm.log") || { cat "$stage/nfpm.log" >&2; exit 1; }
}
GOFLAGS='' GOARCH='' GOOS='' go build -modfile=packaging/tools.mod -o "$stage/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm

echo "$targets" | while read -r target go deb rpm apk ipk; do
	[ -n "$target" ] || continue
	case " ${*:-$target} " in *" $target "*) ;; *) continue ;; esac
	for p in ctview:./cmd/ctview:nfpm.yaml ctview-exporter:./cmd/ctview/exporter:exporter/nfpm.yaml; do
		name=${p%%:*} config=${p##*:} source=${p#*:}
		bin=$out/$name-$version-linux-$target
		echo "dist/$(basename "$bin")"
		(export GOARCH="${go%%:*}" "${go#*:}" && build "$bin" "${source%:*}")
		touch -d "@$time" "$bin"
		package deb "$deb" "$out/${name}_${version}_$deb.deb"
		package rpm "$rpm" "$out/$name-$version.$rpm.rpm"
		package apk "$apk" "$out/$name-$version-$apk.apk"
		package ipk "$ipk" "$out/${name}_${version}_$ipk.ipk"
	done
done
rm -rf "$stage"
(cd "$out" && sha256sum -- * >SHA256SUMS)
