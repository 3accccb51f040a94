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

# The program of tests/missing_features that is built, the feature that its only error must name, and the features that are enabled.
cd tests/missing_features
while read -r program feature enabled; do
    output=$(cargo check --quiet --bin "$program" --features "$enabled" 2>&1)
    errors=$(grep '^error' <<<"$output" | grep -vc '^error: \(could not compile\|aborting\)')
    if [ "$errors" -ne 1 ] || ! grep -q "the feature \`$feature\` of the crate \`brubeck\`\|gated behind the \`$feature\` feature" <<<"$output"; then
        printf '%s has %s errors instead of one that names the feature `%s`:\n%s\n' "$program" "$errors" "$feature" "$output"
        status=1
    fi
done <<'END'
axum axum
axum_body axum
client services
dialect legacy services
files files
http http
inherited systemd http
legacy legacy services
minijinja templates
mongrel2 mongrel2
mongrel2_conf mongrel2
mongrel2_server mongrel2
multipart multipart
schema schema
service services
service_client services
service_handler services
services services
static_files files
template_folder templates
templates templates
test_site services
tls tls http
END
exit "$status"
