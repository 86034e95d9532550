#!/usr/bin/env bash
# Builds the wasm guests of l9-tools/guests and writes the components to l9-tools/guests/dist.
#
#   scripts/build-guests.sh           build everything, write dist/ and dist/SHA256SUMS
#   scripts/build-guests.sh GUEST…    build only these, such as `web`, and leave the others as they are
#   scripts/build-guests.sh --check   build into a scratch folder and compare with dist/
#
# Exit status of --check: 0 same, 1 different, 3 nothing to compare with here (no toolchain
# that builds for wasm32, or another compiler than the one in dist/BUILT_WITH).
#
# The toolchain is rustup's with the target wasm32-unknown-unknown. Where that target cannot
# be had, L9_GUESTS_BUILD_STD=1 builds std from source: that wants rust-src and wasm-ld (in
# Debian: rustc-web cargo-web rust-web-src lld, with PATH=/usr/bin:/bin).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
guests="$root/l9-tools/guests"
dist="$guests/dist"
target="${CARGO_TARGET_DIR:-$guests/target}"
triple=wasm32-unknown-unknown

check=false some=false
guests_wanted=(calc text data time web pdf file hostile hostcalls)
case "${1:-}" in
    --check) check=true ;;
    -*) echo "usage: $0 [--check | GUEST…]" >&2; exit 2 ;;
    "") ;;
    *) guests_wanted=("$@"); some=true ;;
esac

# What is compiled in increments comes out as other bytes.
export CARGO_INCREMENTAL=0

cd "$guests"
compiler="$(rustc --version)"
build=(cargo build --release --locked --target "$triple")
if [ "${L9_GUESTS_BUILD_STD:-0}" = 1 ]; then
    compiler="$compiler, std from source"
    export RUSTC_BOOTSTRAP=1
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="${CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER:-wasm-ld}"
    build+=(-Z build-std=std,panic_abort)
elif [ ! -d "$(rustc --print target-libdir --target "$triple")" ]; then
    echo "no std for $triple: run 'rustup target add $triple' or set L9_GUESTS_BUILD_STD=1" >&2
    if $check; then exit 3; else exit 1; fi
fi

if $check && [ "$(cat "$dist/BUILT_WITH" 2>/dev/null || true)" != "$compiler" ]; then
    echo "cannot compare: dist was built with '$(cat "$dist/BUILT_WITH")', this is '$compiler'" >&2
    exit 3
fi

if $some && [ "$(cat "$dist/BUILT_WITH" 2>/dev/null || true)" != "$compiler" ]; then
    echo "dist was built with another compiler, build everything with this one ($compiler)" >&2
    exit 1
fi

# Paths of this machine must not reach the binaries: hashes would differ elsewhere.
cargo_home="${CARGO_HOME:-$HOME/.cargo}"
flags="--remap-path-prefix=$(rustc --print sysroot)=/rustc --remap-path-prefix=$guests=/guests"
cargo fetch --locked --quiet
for registry in "$cargo_home"/registry/src/*/; do
    flags="$flags --remap-path-prefix=${registry%/}=/crates"
done
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$flags"
# One at a time: what one guest wants of a library must not change another one.
for guest in "${guests_wanted[@]}"; do
    CARGO_TARGET_DIR="$target" "${build[@]}" -p "$guest"
done
CARGO_TARGET_DIR="$target" cargo build --release --locked -p componentize

out="$dist"
if $check; then
    out="$(mktemp -d)"
    trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"

pack() { "$target/release/componentize" "$root/l9-tools/wit" "$1" "$out/$2.wasm"; }
for guest in "${guests_wanted[@]}"; do
    pack "$target/$triple/release/$guest.wasm" "$guest"
done
if [[ " ${guests_wanted[*]} " == *" hostile "* ]]; then
    for core in "$guests"/hostile/wat/*.wat; do
        pack "$core" "hostile-$(basename "$core" .wat)"
    done
fi
(cd "$out" && sha256sum ./*.wasm | sed 's| \./| |' > SHA256SUMS)
echo "$compiler" > "$out/BUILT_WITH"

if $check; then
    diff -u "$dist/SHA256SUMS" "$out/SHA256SUMS" && echo "dist matches its sources"
fi
