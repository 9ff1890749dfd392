# shellcheck shell=bash
# What scripts/demo, scripts/test and scripts/check share; sourced, never run. It goes to the
# project's root and gives: say, fail, make_environment, need_program.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Of the caller's settings, those that would put packages elsewhere or let others in.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT \
      PIP_REQUIRE_VIRTUALENV UV_SYSTEM_PYTHON UV_PROJECT_ENVIRONMENT UV_BREAK_SYSTEM_PACKAGES

STARTED_AT=$(date +%s.%N)
PYTHON=.venv/bin/python

# say TEXT...: a line of progress, with the seconds since the start.
say() {
    awk -v now="$(date +%s.%N)" -v start="$STARTED_AT" -v text="$*" \
        'BEGIN { printf "%6.1f s  %s\n", now - start, text; exit }'
}

# fail TEXT...: say what is wrong and end.
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# make_environment LOCK...: fill .venv with the pins of the last LOCK and with the project itself.
# A later lock holds all pins of those before it, so that one environment serves all our scripts.
# What is there already is kept: nothing happens when .venv was made from the same files here.
make_environment() {
    local lock=${*: -1} wanted made
    mkdir -p .sandbox 2>/dev/null && [ -w .sandbox ] ||
        fail "cannot write in $PWD: the virtual environment and the registries are kept here"
    # Held by this shell alone, while it installs.
    exec 9>.sandbox/environment.lock
    if command -v flock >/dev/null && ! flock --nonblock 9; then
        say "waiting for another script that installs here"
        flock 9
    fi
    wanted=$(stamp "$lock")
    if [ -x $PYTHON ] && ! $PYTHON -c '' 2>/dev/null; then
        say "the Python of .venv is gone: making it anew"
        rm -rf .venv
    fi
    if [ -x $PYTHON ] && grep -qsxF "$wanted" .venv/installed; then
        say "the virtual environment is up to date"
    else
        install_packages "$lock"
        for made in "$@"; do stamp "$made"; done >.venv/installed
        say "the virtual environment is ready"
    fi
    exec 9>&-
}

# stamp LOCK: what an environment depends on, in one line: the pins, the project's entry points, and
# where the project is.
stamp() {
    printf '%s %s %s\n' "$1" "$(cat "$1" pyproject.toml | sha256sum | cut -c1-64)" "$PWD"
}

install_packages() {
    local lock=$1 log=.sandbox/install.log total python
    # Setuptools is among the pins, so that nothing is fetched but what has a hash.
    local -a project=(--no-deps --no-build-isolation --editable .)
    total=$(grep -cE '^[a-zA-Z0-9].*==' "$lock")
    if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
        if [ ! -x $PYTHON ]; then
            say "making .venv with uv"
            python=$(find_python) || exit 1
            uv venv --quiet --python "$python" .venv
        fi
        say "installing $total packages from $lock with uv"
        uv pip install --python $PYTHON --require-hashes -r "$lock" 2>&1 | tee "$log" | show_uv ||
            failed_install "$log"
        say "installing the project itself"
        uv pip install --python $PYTHON "${project[@]}" 2>&1 | tee "$log" | show_uv ||
            failed_install "$log"
    else
        if ! { [ -x $PYTHON ] && $PYTHON -m pip --version >/dev/null 2>&1; }; then
            say "making .venv (uv is not here: pip takes longer)"
            python=$(find_python) || exit 1
            "$python" -m venv .venv >"$log" 2>&1 || {
                cat "$log" >&2
                fail "cannot make a virtual environment; on Debian: apt-get install python3-venv"
            }
        fi
        say "installing $total packages from $lock with pip"
        # The lock names everything; older pips refuse hashes where a package asks for another's extra.
        $PYTHON -m pip install --disable-pip-version-check --progress-bar off \
            --no-deps --require-hashes -r "$lock" 2>&1 | tee "$log" | show_pip "$total" || failed_install "$log"
        say "installing the project itself"
        $PYTHON -m pip install --disable-pip-version-check --quiet "${project[@]}" \
            >"$log" 2>&1 || failed_install "$log"
    fi
}

show_uv() { sed 's/^/          /' | grep -vE '^ *[-+~] ' || true; }

# pip names each package when it looks for it, and says when it begins to install them all.
show_pip() {
    awk -v total="$1" '
        /^Collecting / { if (++n % 20 == 0) printf "          %d of %d: %s\n", n, total, $2; fflush() }
        /^Installing collected/ { print "          unpacking them"; fflush() }'
}

failed_install() {
    tail -n 15 "$1" >&2
    fail "the packages could not be installed; the whole log is in $1"
}

# find_python: an interpreter that the project and Airflow support; the usual one first.
find_python() {
    local each
    for each in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if "$each" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null
        then
            command -v "$each"
            return
        fi
    done
    fail "needs Python 3.11 to 3.14; here is $(python3 --version 2>&1 || true)." \
        "On Debian 12 and later: apt-get install python3 python3-venv"
}

# need_program WHAT PACKAGE COMMAND...: when COMMAND fails, WHAT is missing: install Debian's PACKAGE
# if we may, else say what to do.
need_program() {
    local what=$1 package=$2 log=.sandbox/apt.log
    local -a as_root=()
    shift 2
    if "$@" >/dev/null 2>&1; then return; fi
    command -v apt-get >/dev/null || fail "needs $what. Install it and put it on PATH."
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || fail "needs $what. Install it: sudo apt-get install $package"
        as_root=(sudo -n)
    fi
    say "installing $what: apt-get install $package"
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    local -a install=("${as_root[@]}" apt-get install --yes --no-install-recommends "$package")
    if ! "${install[@]}" >"$log" 2>&1; then
        say "the package list is old: apt-get update"
        "${as_root[@]}" apt-get update >"$log" 2>&1 || true
        "${install[@]}" >"$log" 2>&1 || {
            tail -n 5 "$log" >&2
            fail "apt-get could not install $package; the whole log is in $log"
        }
    fi
    # Debian starts what it installs as a service; we want the program alone.
    if [ -d /run/systemd/system ]; then
        "${as_root[@]}" systemctl disable --now "$package" >/dev/null 2>&1 || true
    fi
    "$@" >/dev/null 2>&1 || fail "$package is installed, and still there is no $what"
    say "$what is installed"
}

has_registry() { command -v docker-registry || command -v registry; }
has_postgresql() { command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb'; }
has_redis() { command -v redis-server; }
has_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
