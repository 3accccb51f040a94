#!/usr/bin/env bash
# Compiles brubeck without features and with each feature alone, and checks that a use of a disabled feature is an
# error that names the feature.
set -uo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
status=0

features=$(sed -n '/^\[features\]/,/^\[/s/^\([a-z0-9]*\) = .*/\1/p' Cargo.toml | grep -v '^default$')
for feature in "" $features; do
    if ! output=$(cargo check --quiet --package brubeck-rs --no-default-features --features "$feature" 2>&1) ||
        grep -q '^warning' <<<"$output"; then
        printf 'with the feature `%s` alone:\n%s\n' "$feature" "$output"
        status=1
    fi
done

# The program of tests/missing_features that is built, and the feature that its error must name.
cd tests/missing_features
while read -r program feature enabled; do
    output=$(cargo check --quiet --bin "$program" --features "$enabled" 2>&1)
    if ! grep -q "^error.* the feature \`$feature\` of the crate \`brubeck\`" <<<"$output"; then
        printf 'the error of %s does not name the feature `%s`:\n%s\n' "$program" "$feature" "$output"
        status=1
    fi
done <<'END'
axum axum
files files
http http
mongrel2 mongrel2
multipart multipart
services services
static_files files
templates templates
tls tls http
END
exit "$status"
