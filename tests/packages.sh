#!/usr/bin/env bash
# Packs the six packages and builds each from its archive, as crates.io would.
#
# Cargo takes a package of a registry as immutable: one that an earlier run unpacked below Cargo's home, or compiled,
# hides every change since, because the version is the same. So both are removed first.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}/packages
packages=(brubeck-sockets brubeck-zmtp brubeck-macros brubeck-runtime brubeck-rs brubeck-cli)
for package in "${packages[@]}"; do
    rm -rf "${CARGO_HOME:-$HOME/.cargo}"/registry/src/-*/"$package"-[0-9]* "$target"/debug/.fingerprint/"$package"-*
done
exec cargo package --quiet --allow-dirty --target-dir "$target" "${packages[@]/#/--package=}"
