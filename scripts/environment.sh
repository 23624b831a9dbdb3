# shellcheck shell=bash
# Sourced by ./demo and ./test: the clone's own Python environment, .venv, from a lock file.
# Every package is checked against the lock's hashes; the project itself is built by a locked backend.

# make_environment LOCK
make_environment() {
    local lock=$1 stamp=.venv/installed-$1 wanted python
    wanted=$(cat "$lock" pyproject.toml | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    echo "setting up .venv from $lock"
    if ! [ -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python)
        "$python" -m venv --clear .venv
    fi
    quiet_pip install --only-binary :all: --require-hashes --requirement "$lock"
    quiet_pip install --no-deps --no-build-isolation --editable .
    echo "$wanted" >"$stamp"
}

quiet_pip() {
    .venv/bin/python -m pip --quiet --disable-pip-version-check --no-input "$@"
}

# A Python from 3.11 on that can make an environment. Debian and Ubuntu keep the part for that in a package.
find_python() {
    local name found=""
    for name in python3 python3.13 python3.12 python3.11; do
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        found=${found:-$name}
        if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    if [ -z "$found" ]; then
        echo "this needs Python 3.11 or later: install python3 and run again" >&2
        return 1
    fi
    install_packages "$("$found" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2
    echo "$found"
}
