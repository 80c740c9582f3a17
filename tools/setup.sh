#!/usr/bin/env bash
# Installs Trimtab into a virtual environment: what is missing is named before anything long begins.
#
#   tools/setup.sh base          Trimtab and llama.cpp
#   tools/setup.sh torch         after that, the PyTorch engine
#   tools/setup.sh development   after that, PyTorch and what tests and lint need
#   tools/setup.sh backend       llama.cpp anew, built for BACKEND: cpu, cuda, metal or vulkan
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
BACKEND=${BACKEND:-}
PYTHON=${PYTHON:-}
PIP=("$VENV/bin/python" -m pip --disable-pip-version-check)
LLAMA=$(sed -n 's/^ *"\(llama-cpp-python==[0-9.]*\)",$/\1/p' pyproject.toml)
TORCH=$(sed -n 's/^ *"\(torch>=[0-9.]*\)",$/\1/p' pyproject.toml)
CPU_TORCH=https://download.pytorch.org/whl/cpu

main() {
    case "${1:-}" in
        base) base ;;
        torch) install_torch torch ;;
        development) install_torch torch,serve,lab,dev ;;
        backend) check_backend && make_venv && build_llama "$BACKEND" ;;
        *) stop "there is no set-up named '${1:-}'" "base, torch, development and backend are" ;;
    esac
}

base() {
    [ -z "$BACKEND" ] || check_backend
    make_venv
    if [ "$(installed llama-cpp-python)" != "${LLAMA#*==}" ]; then
        build_llama "${BACKEND:-$(cat "$VENV/.backend" 2>/dev/null || echo default)}"
    fi
    say "installing Trimtab"
    "${PIP[@]}" install --quiet --editable .
}

make_venv() {
    if [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    find_python
    if ! "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; then
        stop "$PYTHON has no venv module" \
            "Debian, Ubuntu: sudo apt install $("$PYTHON" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" \
            "Fedora: sudo dnf install python3" \
            "macOS: brew install python"
    fi
    say "making $VENV with $("$PYTHON" --version)"
    "$PYTHON" -m venv "$VENV"
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            PYTHON=$candidate
            return
        fi
    done
    stop "${PYTHON:-python3} is not Python 3.11 to 3.14" \
        "Debian, Ubuntu: sudo apt install python3 python3-venv" \
        "Fedora: sudo dnf install python3" \
        "macOS: brew install python" \
        "If it is there under another name: make chat PYTHON=/path/to/python3"
}

# Compiles llama-cpp-python for a back end, or takes what pip has compiled before.
build_llama() {
    local backend=$1 flags= options=()
    case "$backend" in
        cuda) flags=-DGGML_CUDA=on ;;
        metal) flags=-DGGML_METAL=on ;;
        vulkan) flags=-DGGML_VULKAN=on ;;
        cpu) [ "$(uname -s)" != Darwin ] || flags=-DGGML_METAL=off ;;
    esac
    if [ -z "$flags" ] && "${PIP[@]}" cache list llama_cpp_python 2>/dev/null | grep -q "${LLAMA#*==}-"; then
        say "installing $LLAMA, which pip has compiled before"
    else
        check_compiler
        check_toolkit "$backend"
        case "$backend" in
            cuda) say "compiling llama.cpp for CUDA: 10 to 40 minutes, once" ;;
            *) say "compiling llama.cpp: 4 to 5 minutes on two cores, less on more, once" ;;
        esac
    fi
    # Without this pip would take the wheel that it compiled for another back end.
    if [ -n "$flags" ]; then
        options=(--no-cache-dir)
    fi
    if [ -n "$(installed llama-cpp-python)" ]; then
        options+=(--force-reinstall --no-deps)
    fi
    local log="$VENV/llama-build.log"
    if ! CMAKE_ARGS="$flags ${CMAKE_ARGS:-}" "${PIP[@]}" install --verbose --no-binary llama-cpp-python \
        ${options[@]+"${options[@]}"} "$LLAMA" 2>&1 | tee "$log" | show_progress; then
        grep -aE 'error:|CMake Error|ERROR' "$log" | tail -n 8 >&2 || true
        stop "llama.cpp could not be installed" "The whole story: $log"
    fi
    echo "$backend" >"$VENV/.backend"
}

# Of a long compile, how far it is: `[37/193] ...` as one line that moves, or a few lines in a log.
show_progress() {
    local terminal=0
    [ ! -t 1 ] || terminal=1
    awk -v terminal="$terminal" '
        match($0, /\[[0-9]+\/[0-9]+\] /) {
            split(substr($0, RSTART + 1, RLENGTH - 3), part, "/")
            percent = int(100 * part[1] / part[2])
            if (percent < shown + (terminal ? 1 : 10)) next
            shown = percent
            printf terminal ? "\r  %d %%" : "  %d %%\n", percent
            fflush()
        }
        END { if (terminal && shown) print "" }'
}

check_backend() {
    case "$BACKEND" in
        cpu | cuda | vulkan) ;;
        metal)
            [ "$(uname -s)" = Darwin ] || stop "BACKEND=metal is for Macs" "Here it is cuda, vulkan or cpu"
            ;;
        *) stop "there is no back end named '$BACKEND'" "BACKEND is cuda, metal, vulkan or cpu" ;;
    esac
}

check_compiler() {
    if [ "$(uname -s)" = Darwin ] && ! xcode-select -p >/dev/null 2>&1; then
        stop "the compiler is missing" "macOS: xcode-select --install"
    fi
    if ! any "${CC:-}" cc gcc clang || ! any "${CXX:-}" c++ g++ clang++; then
        stop "llama.cpp has to be compiled, and a C and C++ compiler is missing" \
            "Debian, Ubuntu: sudo apt install build-essential" \
            "Fedora: sudo dnf install gcc gcc-c++" \
            "macOS: xcode-select --install"
    fi
}

check_toolkit() {
    if [ "$1" = cuda ] && ! any "${CUDACXX:-}" nvcc "${CUDA_PATH:-/usr/local/cuda}/bin/nvcc"; then
        stop "nvcc, the compiler of the CUDA toolkit, is missing" \
            "Debian, Ubuntu: sudo apt install nvidia-cuda-toolkit" \
            "Others: https://developer.nvidia.com/cuda-downloads"
    fi
    if [ "$1" = vulkan ] && ! any glslc; then
        stop "glslc, the compiler of Vulkan's shaders, is missing" \
            "Debian, Ubuntu: sudo apt install glslc libvulkan-dev" \
            "Fedora: sudo dnf install glslc vulkan-headers vulkan-loader-devel" \
            "macOS: brew install shaderc vulkan-headers vulkan-loader molten-vk"
    fi
}

# On Linux the package index has PyTorch with gigabytes of CUDA. Without an NVIDIA card a CPU build is put
# in place first: from a folder of wheels that pip was told about, else from PyTorch's own index.
install_torch() {
    if [ -z "$(installed torch)" ] && [ "$(uname -s)" = Linux ] && ! has_nvidia; then
        say "installing PyTorch for the processor (no NVIDIA card found)"
        if ! "${PIP[@]}" install --quiet --no-index --no-deps "$TORCH" 2>/dev/null &&
            ! "${PIP[@]}" install --quiet --index-url "$CPU_TORCH" "$TORCH"; then
            stop "PyTorch's CPU build could not be installed" \
                "Check the network, or put its wheel into a folder and name that in PIP_FIND_LINKS" \
                "To take the large CUDA build all the same: ${PIP[*]} install torch"
        fi
    fi
    say "installing Trimtab with $1"
    "${PIP[@]}" install --quiet --editable ".[$1]"
}

has_nvidia() {
    nvidia-smi -L >/dev/null 2>&1 || [ -e /proc/driver/nvidia/version ] || [ -e /dev/nvidia0 ]
}

# The version of a package in the virtual environment, or nothing.
installed() {
    "$VENV/bin/python" -c 'import importlib.metadata as m, sys; print(m.version(sys.argv[1]))' "$1" 2>/dev/null || true
}

any() {
    local name
    for name in "$@"; do
        if [ -n "$name" ] && command -v "${name%% *}" >/dev/null 2>&1; then
            return 0
        fi
    done
    return 1
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
