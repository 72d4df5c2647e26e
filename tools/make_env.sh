#!/usr/bin/env bash
# Makes or updates a virtual environment: tools/make_env.sh FOLDER EXTRAS
# Versions come from constraints.txt; PYTHON chooses the interpreter. Touches FOLDER/.env-stamp when done.
set -euo pipefail
folder=$1 extras=$2
python=${PYTHON:-python3}
cd "$(dirname "$0")/.."

command -v "$python" >/dev/null || { echo "make_env: no $python on PATH: install Python 3.10 or newer, or set PYTHON" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    { echo "make_env: $("$python" --version) is too old: set PYTHON to a Python 3.10 or newer" >&2; exit 1; }

system_package() {  # NAME WHY: installs a Debian package, or says that it is needed
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1"
    else
        echo "make_env: $2: as root, apt-get install $1, then run again" >&2
        exit 1
    fi
}

# Debian ships Python without ensurepip; nothing else of the system is needed by the core.
if [ ! -x "$folder/bin/python" ] && ! "$python" -c 'import ensurepip' 2>/dev/null; then
    system_package python3-venv "$python cannot make virtual environments"
fi
if [[ ",$extras," == *,nerfstudio,* ]] && ! ldconfig -p 2>/dev/null | grep -q 'libusb-1\.0'; then
    system_package libusb-1.0-0 "nerfstudio's open3d needs libusb"
fi

[ -x "$folder/bin/python" ] || { echo "making $folder"; "$python" -m venv "$folder"; }
echo "installing nerfstudio_mvc[$extras] into $folder (the first time this fetches several hundred MB)"
PYTHONWARNINGS=ignore "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extras]"
# PyPI has torchvision for CUDA alone. Beside a torch without it this version, which nerfstudio documents, does without its
# compiled half; later ones fail on import, and every ns-* command with them.
if [[ ",$extras," == *,nerfstudio,* ]] && ! "$folder/bin/python" -W ignore -c 'import torchvision' 2>/dev/null; then
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps torchvision==0.16.2
fi
# nerfstudio's dataparser reads what we restore; pip would bring 3 GB with it.
if [[ ",$extras," == *,test,* ]] && [ ! -d "$folder/nerfstudio-parser" ]; then
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --target "$folder/nerfstudio-parser" -r tools/nerfstudio_parser.txt
fi
touch "$folder/.env-stamp"
