#!/usr/bin/env bash
# Runs every check and every test of brubeck, to the end whatever fails, and then says
# `N passed, N failed`. Needs bash and a Rust toolchain; what else the tests need (Mongrel2, nginx,
# Chromium, and pyzmq for peers that are not Rust) is installed where that is possible, and named where it is not.
set -uo pipefail
cd "$(dirname "$0")"

target=${CARGO_TARGET_DIR:-$PWD/target}
passed=0
failed=0
failures=()
mkdir -p "$target"

# ---- parts of the system ----------------------------------------------------------------------

missing() {
    echo "missing: $1" >&2
    if [ -z "${CI:-}" ]; then
        echo "         tests that need it are skipped" >&2
    fi
}

apt_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "$1" >"$target/apt.log" 2>&1 ||
        { apt-get update >"$target/apt.log" 2>&1 &&
            apt-get install -y --no-install-recommends "$1" >>"$target/apt.log" 2>&1; }
}

if ! { command -v mongrel2 && command -v m2sh; } >/dev/null; then
    apt_install mongrel2-core || missing "mongrel2; install it with: apt-get install mongrel2-core"
fi

for tool in chromium curl nginx openssl valgrind; do
    command -v "$tool" >/dev/null || apt_install "$tool" || missing "$tool; install it with: apt-get install $tool"
done

# The interpreter that tests start for peers written in Python.
export BRUBECK_PYTHON=${BRUBECK_PYTHON:-python3}
if ! "$BRUBECK_PYTHON" -c 'import zmq, websockets' 2>/dev/null; then
    venv=$target/python
    if [ -x "$venv/bin/python" ] || "$BRUBECK_PYTHON" -m venv "$venv" >"$target/venv.log" 2>&1; then
        "$venv/bin/python" -c 'import zmq, websockets' 2>/dev/null ||
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check pyzmq websockets >"$target/venv.log" 2>&1
    fi
    if "$venv/bin/python" -c 'import zmq' 2>/dev/null; then
        BRUBECK_PYTHON=$venv/bin/python
    elif apt_install python3-zmq && /usr/bin/python3 -c 'import zmq' 2>/dev/null; then
        BRUBECK_PYTHON=/usr/bin/python3
    else
        missing "pyzmq; install it with: python3 -m pip install pyzmq"
    fi
fi

# ---- checks -----------------------------------------------------------------------------------

fail() {
    failed=$((failed + $1))
    failures+=("$2")
}

check() {
    local name=$1
    shift
    echo "== $name"
    if "$@"; then
        passed=$((passed + 1))
    else
        fail 1 "$name"
    fi
}

# Adds up what `cargo test` says of each test program; one that does not even build counts as one.
tests() {
    local name=$1 log=$target/test.log ok bad
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log"
    local status=${PIPESTATUS[0]}
    ok=$(sed -n 's/^test result: .*[^0-9]\([0-9][0-9]*\) passed;.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    bad=$(sed -n 's/^test result: .*[^0-9]\([0-9][0-9]*\) failed;.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    passed=$((passed + ok))
    if [ "$bad" -gt 0 ]; then
        fail "$bad" "$name: $(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log" | paste -sd ' ')"
    elif [ "$status" -ne 0 ]; then
        fail 1 "$name: it did not build, or a test program ended early"
    fi
}

check "format" cargo fmt --all --check
check "clippy" cargo clippy --workspace --all-targets --all-features --quiet -- -D warnings
RUSTDOCFLAGS="${RUSTDOCFLAGS:-} -D warnings" check "documentation" cargo doc --workspace --no-deps --all-features --quiet
check "features" tests/features.sh
check "packages" tests/packages.sh
tests "tests" cargo test --workspace --no-fail-fast
tests "instruction counts" cargo test --profile counts -p brubeck-counts
if command -v cargo-deny >/dev/null; then
    check "dependencies" cargo deny --log-level error check
fi

# ---- the outcome ------------------------------------------------------------------------------

for failure in "${failures[@]+"${failures[@]}"}"; do
    echo "failed: $failure"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
