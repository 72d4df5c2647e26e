"""Imports follow the floors: the table of README's "Architecture", held against what the code imports."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("colmap_io", "nerfstudio_mvc")
ANYWHERE = {"numpy"} | set(sys.stdlib_module_names)

# place -> (our places it may import, third parties beside numpy). A place is a package or one of two modules.
TABLE: dict[str, tuple[set[str], set[str]]] = {
    "colmap_io": (set(), {"pycolmap"}),
    "errors": (set(), set()),
    "coded": (set(), set()),
    "effort": (set(), set()),
    "compiling": (set(), {"numba"}),
    "cores": (set(), set()),
    "capture": ({"colmap_io", "errors"}, {"PIL"}),
    "archive": ({"capture", "colmap_io", "coded", "errors"}, set()),
    "quality": ({"errors"}, {"torch", "scipy"}),
    "geometry": ({"colmap_io", "capture", "errors"}, {"torch"}),
    "splatting": (
        {"colmap_io", "capture", "compiling", "cores", "effort", "errors"},
        {"numba", "scipy", "torch", "gsplat", "PIL"},
    ),
    "video": ({"cores", "errors"}, {"imageio_ffmpeg"}),
    "layers": ({"errors"}, {"torch"}),
    "entropy": ({"layers", "coded", "errors"}, {"torch", "constriction"}),
    "prediction": ({"entropy", "layers", "geometry", "capture", "compiling", "errors"}, {"torch", "numba"}),
    "restoration": ({"prediction", "layers", "video", "errors"}, {"torch"}),
    "codecs": (
        {"prediction", "restoration", "entropy", "layers", "geometry", "video", "capture", "coded", "cores", "errors"},
        {"torch"},
    ),
    "weights": ({"codecs", "restoration", "video", "entropy", "layers", "errors"}, {"torch", "safetensors"}),
    "compressai_models": ({"codecs", "weights"}, {"torch", "compressai"}),
    "training": (
        {
            "prediction",
            "restoration",
            "weights",
            "codecs",
            "splatting",
            "entropy",
            "layers",
            "geometry",
            "quality",
            "capture",
            "colmap_io",
            "errors",
        },
        {"torch", "PIL", "safetensors"},
    ),
    "pipeline": (
        {
            "weights",
            "codecs",
            "splatting",
            "archive",
            "geometry",
            "video",
            "quality",
            "capture",
            "colmap_io",
            "coded",
            "cores",
            "effort",
            "errors",
        },
        {"torch", "PIL", "psutil"},
    ),
    "benchmarking": (
        {
            "layers",
            "prediction",
            "restoration",
            "pipeline",
            "weights",
            "codecs",
            "splatting",
            "geometry",
            "video",
            "quality",
            "capture",
            "archive",
            "colmap_io",
            "cores",
            "errors",
        },
        {"PIL", "pillow_jxl", "torch", "cv2"},
    ),
    "cli": (
        {
            "benchmarking",
            "pipeline",
            "training",
            "codecs",
            "splatting",
            "archive",
            "capture",
            "geometry",
            "quality",
            "effort",
            "errors",
        },
        {"rich", "tyro", "PIL"},
    ),
    "nerfstudio_plugin": (
        {"pipeline", "splatting", "archive", "capture", "errors"},
        {"nerfstudio", "torch", "rich", "tyro"},
    ),
}

# Third parties that only these files of their place may import.
ONLY_IN = {
    "pycolmap": {"colmap_io/mapping.py"},
    "gsplat": {"nerfstudio_mvc/splatting/gsplat_backend.py"},
    "constriction": {"nerfstudio_mvc/entropy/range_coder.py"},
    "cv2": {"nerfstudio_mvc/benchmarking/image_aligners.py"},
}
TORCH_ONLY_IN = {
    "quality": {"nerfstudio_mvc/quality/ms_ssim.py"},
    "splatting": {"nerfstudio_mvc/splatting/gsplat_backend.py", "nerfstudio_mvc/splatting/splatfacto_checkpoint.py"},
}


def source_files() -> list[Path]:
    return sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def place_of(module: str) -> str:
    """``nerfstudio_mvc.archive.reader`` -> ``archive``; ``colmap_io.records`` -> ``colmap_io``."""
    parts = module.split(".")
    return parts[0] if parts[0] == "colmap_io" or len(parts) == 1 else parts[1]


def imported_modules(path: Path) -> set[str]:
    """Full names of everything a file imports, anywhere in it except under TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            # `from nerfstudio_mvc.archive import layout` imports the module archive.layout.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", source_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_stay_on_their_floor(path: Path) -> None:
    relative = path.relative_to(ROOT)
    module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
    place = place_of(module)
    if place == "nerfstudio_mvc":
        return  # the front door: resolves its names on first use
    assert place in TABLE, f"{place} is not in the floor table: give it a line, here and in README.md"
    allowed, third_party = TABLE[place]
    for name in imported_modules(path):
        top = name.split(".")[0]
        if top in OURS:
            target = place_of(name)
            if target == "__version__":
                continue
            assert target == place or target in allowed, f"{relative} ({place}) imports {name}"
        else:
            assert top in ANYWHERE | third_party, f"{relative} ({place}) imports {name}"
            assert relative.as_posix() in ONLY_IN.get(top, {relative.as_posix()}), f"{relative} imports {name}"
            if top == "torch" and place in TORCH_ONLY_IN:
                assert relative.as_posix() in TORCH_ONLY_IN[place], f"{relative} imports torch"


def test_codecs_do_not_import_each_other() -> None:
    codecs = ROOT / "nerfstudio_mvc" / "codecs"
    names = [path.name for path in codecs.iterdir() if path.is_dir() and path.name != "__pycache__"]
    for name in names:
        for path in (codecs / name).rglob("*.py"):
            for imported in imported_modules(path):
                for other in set(names) - {name}:
                    assert not imported.startswith(f"nerfstudio_mvc.codecs.{other}"), f"{path} imports {imported}"


def test_readme_shows_the_same_floors() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in (ROOT / "nerfstudio_mvc").glob("*/__init__.py")} | {"colmap_io"}
    missing = [package for package in sorted(packages) if f"`{package}/`" not in readme]
    assert not missing, f'README.md, section "Architecture", has no line for {missing}'
