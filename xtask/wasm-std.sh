#!/usr/bin/env bash
# Puts the standard library of a WebAssembly target where rustup would put it, for machines where rustup cannot download it:
# built once from Debian's rust-src of the very version of the active toolchain. Plain stable cargo works afterwards.
# usage: wasm-std.sh [wasm32-wasip2|wasm32-unknown-unknown]
# Needs: bash, xz, apt-get and dpkg of Debian or Ubuntu with network; or a folder with rust-std-source-VERSION.tar.xz and
# wasi-libc-*.deb, named by PAWL_TOOLCHAIN or lying at shared/toolchain in or beside the checkout.
set -euo pipefail
TARGET=${1:-wasm32-wasip2}
ROOT=$(cd "$(dirname "$0")/.." && pwd)
SYSROOT=$(rustc --print sysroot)
DST=$SYSROOT/lib/rustlib/$TARGET/lib
compgen -G "$DST/libcore-*.rlib" >/dev/null && { echo "$TARGET: present"; exit 0; }
[ -w "$SYSROOT/lib/rustlib" ] || { echo "$SYSROOT cannot be written; run this as its owner, or use a toolchain of rustup" >&2; exit 1; }

COPIES=
for folder in "${PAWL_TOOLCHAIN:-}" "$ROOT/shared/toolchain" "$ROOT/../shared/toolchain"; do
  if [ -n "$folder" ] && [ -d "$folder" ]; then COPIES=$folder; break; fi
done

VERSION=$(rustc -vV | sed -n 's/^release: //p')
COMMIT=$(rustc -vV | sed -n 's/^commit-hash: //p')
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
chmod 755 "$WORK"
mkdir -p "$WORK"/{sources,lists/partial,cache/archives/partial,u}

# Debian's archive, all suites, in lists of our own: the machine's own package lists stay as they are.
APT=()
if command -v apt-get >/dev/null && [ -f /etc/apt/sources.list.d/debian.sources ]; then
  for suite in trixie-backports trixie forky sid; do
    sed -n '1,/^$/p' /etc/apt/sources.list.d/debian.sources | sed "s/^Suites:.*/Suites: $suite/"
    echo
  done > "$WORK/sources/suites.sources"
  APT=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$WORK/sources" -o "Dir::State::Lists=$WORK/lists"
    -o "Dir::Cache=$WORK/cache" -o APT::Sandbox::User=root)
  apt-get "${APT[@]}" update -qq >&2 || true
fi
version() { # version PACKAGE TEXT: the first version of the package that contains the text
  [ ${#APT[@]} -gt 0 ] || return 1
  apt-cache "${APT[@]}" madison "$1" |
    awk -v text="$2" 'index($3, text) && !found { print $3; found = 1 } END { exit !found }'
}
fetch() { # fetch PACKAGE VERSION: unpacks it under $WORK/u
  (cd "$WORK" && apt-get "${APT[@]}" download -qq "$1=$2" >&2 && dpkg -x "$1"_*.deb u)
}

if found=$(version rust-src "$VERSION+") && fetch rust-src "$found"; then
  SRC=$WORK/u/usr/src/rustc-$VERSION
elif [ -f "$COPIES/rust-std-source-$VERSION.tar.xz" ]; then
  tar -xJf "$COPIES/rust-std-source-$VERSION.tar.xz" -C "$WORK"
  SRC=$WORK
else
  echo "no source of the standard library of Rust $VERSION to be had: Debian's archive has none or cannot be reached" >&2
  exit 1
fi

FLAGS="-Zforce-unstable-if-unmarked --remap-path-prefix=$SRC=/rustc/$COMMIT --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/rust/deps"
if [ "$TARGET" = wasm32-wasip2 ]; then
  # The release of wasi-libc that this std was written for.
  if found=$(version wasi-libc 20260129) && fetch wasi-libc "$found"; then :
  elif copy=$(compgen -G "$COPIES/wasi-libc-*.deb"); then dpkg -x "$copy" "$WORK/u"
  else echo "no wasi-libc to be had from Debian's archive" >&2; exit 1; fi
  LIBC=$WORK/u/usr/lib/wasm32-wasip2
  FLAGS="$FLAGS -L native=$LIBC"
fi

cd "$SRC/library"
# The cargo that called us may have said things meant for its own workspace.
unset CARGO_MANIFEST_DIR CARGO_BUILD_TARGET CARGO_ENCODED_RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
RUSTC_BOOTSTRAP=1 __CARGO_DEFAULT_LIB_METADATA=stable CARGO_TARGET_DIR=$WORK/t RUSTFLAGS="$FLAGS" \
  cargo build -q -p sysroot --profile dist --target "$TARGET"

# core goes last: it is what says that the others are there.
mkdir -p "$DST"
if [ "$TARGET" = wasm32-wasip2 ]; then
  mkdir -p "$DST/self-contained"
  cp "$LIBC"/crt1*.o "$LIBC"/libc.a "$DST/self-contained/"
fi
find "$WORK/t/$TARGET/dist/deps" -name '*.rlib' ! -name 'libcore-*' -exec cp {} "$DST/" \;
for core in "$WORK/t/$TARGET"/dist/deps/libcore-*.rlib; do
  cp "$core" "$DST/core.tmp"
  mv "$DST/core.tmp" "$DST/${core##*/}"
done
echo "$TARGET: installed in $DST"
