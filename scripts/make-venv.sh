#!/bin/sh
# Make the virtual environment $1 with the first Python >= 3.11 found ($PYTHON, if set, alone).
set -eu

venv=$1

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

for python in ${PYTHON:-python3 python python3.14 python3.13 python3.12 python3.11}; do
    if new_enough "$python"; then
        found=$python
        break
    fi
done
if [ -z "${found:-}" ]; then
    echo "Python 3.11 or newer is needed, and ${PYTHON:-none on the PATH} is." >&2
    echo "Install it (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python)," >&2
    echo "or name one: make PYTHON=/path/to/python3.12 ..." >&2
    exit 1
fi

# Debian's Python comes without it, and its venv would come out without pip.
if ! "$found" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$found cannot make virtual environments: its modules venv and ensurepip are missing." >&2
    echo "Install them (Debian, Ubuntu: apt-get install python3-venv)." >&2
    exit 1
fi

"$found" -m venv --clear "$venv"
