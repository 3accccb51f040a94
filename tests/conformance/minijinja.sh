#!/usr/bin/env bash
# Checks the templates of minijinja's own tests (https://github.com/mitsuhiko/minijinja, Apache-2.0) as `#[derive(Template)]` does, and
# renders them. Fails if one is refused that renders, except for a few that the test names with the reason.
#
# The source is cloned from its repository; `MINIJINJA_SOURCE` names a clone that is used instead. `VERBOSE=1` also lists the templates
# that compile and do not render, because of the values of their variables.
set -euo pipefail
source "$(dirname "$0")/server.sh"

install git
if [ -z "${MINIJINJA_SOURCE:-}" ]; then
    MINIJINJA_SOURCE=$folder/minijinja
    repository=https://github.com/mitsuhiko/minijinja
    [ -d "$MINIJINJA_SOURCE" ] || git clone --quiet --depth 1 "$repository" "$MINIJINJA_SOURCE" ||
        missing "missing: the source of minijinja, and $repository cannot be cloned" "help: set MINIJINJA_SOURCE to a clone of it"
fi
export MINIJINJA_SOURCE
cargo test --quiet --manifest-path "$root/Cargo.toml" --package brubeck-macros --lib \
    no_template_that_renders_is_refused -- --ignored --nocapture
