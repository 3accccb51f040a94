# Starts the server of server.rs for the script that sources this file, and stops it when the script ends.
# Sets `root`, `folder` (for what is downloaded and built), `port` and `tls_port`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=${CARGO_TARGET_DIR:-$root/target}/conformance
mkdir -p "$folder"

# Ends with status 2, and says what is missing.
missing() {
    printf '%s\n' "$@" >&2
    exit 2
}

# Installs packages of Debian, if the script may.
install() {
    dpkg -s "$@" >/dev/null 2>&1 && return
    command -v apt-get >/dev/null || missing "missing: $*, and there is no apt-get to install them"
    echo "installing $*"
    apt-get install --yes --no-install-recommends "$@" >"$folder/apt.log" 2>&1 || {
        apt-get update >"$folder/apt.log" 2>&1 &&
            apt-get install --yes --no-install-recommends "$@" >>"$folder/apt.log" 2>&1
    } || missing "missing: $*, and apt-get cannot install them:" "$(tail -n 3 "$folder/apt.log")"
}

# Starts the server, with a certificate and its key if they are given: then `tls_port` is set too.
start_server() {
    # Messages are compressed and unmasked by these packages, which is slow without optimization.
    cargo build --quiet --manifest-path "$root/Cargo.toml" --package brubeck-rs --example conformance \
        --config profile.dev.package.miniz_oxide.opt-level=3 --config profile.dev.package.brubeck-runtime.opt-level=2
    # The server ends when its standard input does.
    coproc SERVER { exec "${CARGO_TARGET_DIR:-$root/target}/debug/examples/conformance" "$@"; }
    local address
    IFS= read -r address <&"${SERVER[0]}" || missing "the server did not start"
    port=${address##*:}
    if [ $# -gt 0 ]; then
        IFS= read -r address <&"${SERVER[0]}" || missing "the server did not start with TLS"
        tls_port=${address##*:}
    fi
}
