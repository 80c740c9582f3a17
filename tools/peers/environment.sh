#!/usr/bin/env bash
# Makes the environment that another program for steering runs in, once: none of them can share Trimtab's.
#
#   tools/peers/environment.sh repeng   .peers/repeng, whose numpy is older than 2
#   tools/peers/environment.sh dialz    .peers/dialz, whose transformers is older than 5
#
# PEERS is another folder for them, PYTHON the Python to try first. PyTorch is the very version in VENV, so that
# what is measured is the programs and not their libraries.
set -euo pipefail
cd "$(dirname "$0")/../.."

VENV=${VENV:-.venv}
PEERS=${PEERS:-.peers}
PYTHON=${PYTHON:-}
CPU_TORCH=https://download.pytorch.org/whl/cpu

main() {
    local peer=${1:-} wanted ready
    case "$peer" in
        repeng) wanted=(repeng==0.4.0 "transformers==$(ours transformers)") ;;
        # IPython is imported by dialz and missing from what it says it needs.
        dialz) wanted=(dialz==1.1.4 ipython) ;;
        *) stop "there is no peer named '$peer'" "repeng and dialz are" ;;
    esac
    local folder="$PEERS/$peer" torch
    torch="torch==$(ours torch)"
    ready="$torch ${wanted[*]}"
    if [ "$(cat "$folder/.ready" 2>/dev/null)" = "$ready" ]; then
        return
    fi
    say "making $folder, an environment of its own for $peer: some minutes and about 1.5 GB, once"
    find_python
    mkdir -p "$PEERS"
    echo '*' >"$PEERS/.gitignore"
    "$PYTHON" -m venv "$folder"
    install_torch "$folder" "$torch"
    if ! pip "$folder" "$torch" "${wanted[@]}"; then
        stop "$peer could not be installed into $folder" "Check the network, then run this again"
    fi
    echo "$ready" >"$folder/.ready"
}

# The CPU build first, as in tools/setup.sh: the package index has the one with gigabytes of CUDA.
install_torch() {
    if [ "$(uname -s)" != Linux ] || nvidia-smi -L >/dev/null 2>&1; then
        return
    fi
    if ! pip "$1" --no-index --no-deps "$2" 2>/dev/null && ! pip "$1" --index-url "$CPU_TORCH" "$2"; then
        stop "PyTorch's CPU build could not be installed into $1" \
            "Check the network, or put its wheel into a folder and name that in PIP_FIND_LINKS"
    fi
}

pip() {
    local folder=$1
    shift
    "$folder/bin/python" -m pip --disable-pip-version-check install --quiet "$@"
}

# numpy 1 has no build for Pythons after 3.12.
find_python() {
    local candidate
    for candidate in $PYTHON "$VENV/bin/python" python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            PYTHON=$candidate
            return
        fi
    done
    stop "no Python 3.11 or 3.12 was found, and numpy before 2 has no build for later ones" \
        "Install one: Debian, Ubuntu: sudo apt install python3.11-venv" "Or name it: PYTHON=/path/to/python3.12"
}

ours() {
    "$VENV/bin/python" -c 'import importlib.metadata as m, sys; print(m.version(sys.argv[1]).split("+")[0])' "$1" ||
        stop "$1 is not in $VENV" "Run: make test, which puts it there"
}

say() {
    echo "trimtab: $1" >&2
}

stop() {
    echo "trimtab: $1." >&2
    shift
    printf '  %s\n' "$@" >&2
    exit 1
}

main "$@"
