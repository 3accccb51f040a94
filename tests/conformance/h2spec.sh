#!/usr/bin/env bash
# Tests HTTP/2 with h2spec (https://github.com/summerwind/h2spec, MIT).
#
# Builds it from its source with Debian's Go and Debian's packages of the libraries that it needs. The source is cloned from its
# repository; `H2SPEC_SOURCE` names a clone (or a bare repository) that is used instead. Runs all cases, also the strict ones, without TLS and
# over TLS. Fails if a case fails that is not in `known`.
set -euo pipefail
source "$(dirname "$0")/server.sh"

# The server closes the connection after an invalid preface, which RFC 9113, section 3.4 allows; the suite expects a GOAWAY or a clean close. Without
# TLS the preface is also an invalid request of HTTP/1.1, which gets a 400.
known="Sends invalid connection preface"

install git openssl golang-go golang-golang-x-net-dev golang-github-spf13-cobra-dev golang-github-fatih-color-dev

if [ ! -x "$folder/h2spec" ]; then
    source=$folder/gopath/src/github.com/summerwind/h2spec
    rm -rf "$source" && mkdir -p "$source"
    repository=${H2SPEC_SOURCE:-https://github.com/summerwind/h2spec}
    git clone --quiet "$repository" "$source" ||
        missing "missing: the source of h2spec, and $repository cannot be cloned" "help: set H2SPEC_SOURCE to a clone of https://github.com/summerwind/h2spec"
    (cd "$source" && GO111MODULE=off GOFLAGS='' GOPATH=$folder/gopath:/usr/share/gocode go build -o "$folder/h2spec" ./cmd/h2spec)
fi

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>"$folder/openssl.log" ||
    missing "openssl cannot create a certificate:" "$(tail -n 3 "$folder/openssl.log")"
start_server "$folder/certificate.pem" "$folder/key.pem"

status=0
for transport in plain tls; do
    report=$folder/h2spec-$transport.txt
    case $transport in
        plain) arguments=(--port "$port") ;;
        tls) arguments=(--port "$tls_port" --tls --insecure) ;;
    esac
    "$folder/h2spec" --host 127.0.0.1 --strict --timeout 5 "${arguments[@]}" >"$report" || true
    grep -q '^[0-9]* tests, ' "$report" || missing "h2spec wrote no summary:" "$(tail -n 5 "$report")"
    echo "h2spec ($transport): $(grep '^[0-9]* tests, ' "$report")"
    failures=$(sed -n '/^Failures:/,$p' "$report")
    if grep ' × ' <<<"$failures" | grep -v "$known" | grep -q .; then
        printf '%s\n' "$failures"
        status=1
    fi
done
exit "$status"
