# Sourced by quickstart.sh and test.sh: the virtual environment .venv with the pinned versions of
# constraints.txt, made once and made anew when those change. PYTHON=... chooses the interpreter.
# extra=test before sourcing it has the tests' packages installed, too; those an earlier start installed stay.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "error: $*" >&2
    exit 1
}

base="${PYTHON:-python3}"
command -v "$base" > /dev/null || fail "$base not found: install Python 3.10 or newer, or set PYTHON to one"
"$base" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$("$base" --version 2>&1) is too old: Python 3.10 or newer is needed; set PYTHON=python3.11, say"

# What the installation depends on: the interpreter and the files that name packages and versions.
wanted="$("$base" - << 'EOF'
import hashlib, sys
files = b"".join(open(name, "rb").read() for name in ("constraints.txt", "setup.cfg", "pyproject.toml"))
print("python%d.%d" % sys.version_info[:2], hashlib.sha256(files).hexdigest())
EOF
)"
stamp=.venv/installed

# The stamp is what was installed, and with which extra.
installed="$(cat "$stamp" 2> /dev/null || true)"
if [ ! -x .venv/bin/python ] || { [ "$installed" != "$wanted $extra" ] && [ "$installed" != "$wanted test" ]; }; then
    "$base" -c 'import ensurepip, venv' 2> /dev/null ||
        fail "$base cannot make virtual environments: install its venv package (Debian, Ubuntu: python3-venv)"
    had="$(.venv/bin/python -c 'import sys; print("python%d.%d" % sys.version_info[:2])' 2> /dev/null || true)"
    if [ "$had" != "${wanted%% *}" ]; then
        echo "Making .venv with $("$base" --version) ..."
        "$base" -m venv --clear .venv
    fi
    echo "Installing pinned packages into .venv (the first time this downloads PyTorch; minutes) ..."
    rm -f "$stamp"
    quiet=--quiet
    if [ -t 1 ]; then quiet=; fi # at a terminal, pip's own progress bars
    # shellcheck disable=SC2086
    .venv/bin/python -m pip install $quiet --disable-pip-version-check -c constraints.txt -e ".${extra:+[$extra]}" ||
        fail "installation failed; the lines above say why"
    echo "$wanted $extra" > "$stamp"
fi
export PATH="$PWD/.venv/bin:$PATH"
