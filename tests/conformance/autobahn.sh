#!/usr/bin/env bash
# Tests WebSockets with the Autobahn test suite (https://github.com/crossbario/autobahn-testsuite, Apache-2.0).
#
# The suite runs under Python 2.7: that of `BRUBECK_PYTHON2`, of the system, or of pyenv, or PyPy's. Installs it from PyPI into
# the build folder. Fails if a case fails. `AUTOBAHN_CASES` selects cases, such as `1.*,12.1.*` (default: all).
set -euo pipefail
source "$(dirname "$0")/server.sh"

python=
for candidate in "${BRUBECK_PYTHON2:-}" python2.7 pypy2.7 pypy "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || missing "missing: Python 2.7, which the Autobahn test suite needs" \
    "help: install python2.7 or pypy2.7 and their pip, or set BRUBECK_PYTHON2 to an interpreter"

packages=$folder/autobahn
if [ ! -d "$packages/autobahntestsuite" ]; then
    "$python" -m pip --version >/dev/null 2>&1 || missing "missing: pip for $python"
    echo "installing autobahntestsuite"
    # wsaccel masks messages and checks UTF-8 in C, which takes the suite minutes instead of hours.
    "$python" -m pip install --quiet --target "$packages.new" autobahntestsuite wsaccel==0.6.2 >"$folder/pip.log" 2>&1 ||
        missing "missing: autobahntestsuite, and pip cannot install it:" "$(tail -n 3 "$folder/pip.log")"
    # Python 2 imports a folder only with this file, and pip leaves it out for the namespace `zope`.
    touch "$packages.new/zope/__init__.py"
    rm -rf "$packages" && mv "$packages.new" "$packages"
fi

start_server
cd "$folder"
cases=$(sed 's/[^,]*/"&"/g' <<<"${AUTOBAHN_CASES:-*}")
cat >autobahn.json <<END
{
    "outdir": "$folder/autobahn-report",
    "servers": [{"agent": "brubeck", "url": "ws://127.0.0.1:$port/echo"}],
    "cases": [$cases],
    "exclude-cases": [],
    "exclude-agent-cases": {}
}
END
rm -rf autobahn-report
PYTHONPATH=$packages "$python" -c 'from autobahntestsuite.wstest import run; run()' --mode fuzzingclient --spec autobahn.json >autobahn.log 2>&1 ||
    missing "the Autobahn test suite failed:" "$(tail -n 5 autobahn.log)"
"$python" - <<'END'
import json, sys
results = json.load(open("autobahn-report/index.json"))["brubeck"]
counts = {}
failed = []
for case, result in results.items():
    for behavior in (result["behavior"], result["behaviorClose"]):
        if behavior not in ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED"):
            failed.append(case)
    counts[result["behavior"]] = counts.get(result["behavior"], 0) + 1
print("autobahn: %d cases, %d failed (%s)" % (len(results), len(set(failed)), ", ".join("%s %d" % pair for pair in sorted(counts.items()))))
for case in sorted(set(failed)):
    print("  %s: %s, close: %s" % (case, results[case]["behavior"], results[case]["behaviorClose"]))
sys.exit(bool(failed) or not results)
END
