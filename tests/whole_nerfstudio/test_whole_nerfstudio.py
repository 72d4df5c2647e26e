"""nerfstudio's own commands with ours, for real and on a CPU: `make test-nerfstudio`.

What is left out of nerfstudio is open3d and what downloads weights; both have stand-ins. The kernels of splatfacto,
which need CUDA, have one as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from small_captures import write_reduced_sample

from nerfstudio_mvc import compress_capture, decompress_archive
from nerfstudio_mvc.capture.views import PRIOR_FOLDER

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PHOTOGRAPHS = sorted((ROOT / "examples" / "data" / "nerfstudio" / "images").iterdir())
PACKAGES = Path(os.environ.get("NERFSTUDIO_PACKAGES", Path(sys.prefix) / "nerfstudio-run"))

pytestmark = [
    pytest.mark.nerfstudio,
    pytest.mark.skipif(not PACKAGES.is_dir(), reason="all of nerfstudio is not here (make test-nerfstudio brings it)"),
]

NO_LPIPS = """
import os, torch, torchvision
from pathlib import Path
folder = Path(os.environ["TORCH_HOME"]) / "hub" / "checkpoints"
folder.mkdir(parents=True)
shapes = {name: value.shape for name, value in torchvision.models.alexnet(weights=None).state_dict().items()}
zeros = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
torch.save(zeros, folder / "alexnet-owt-7be5be79.pth")
"""
TRAIN = "from nerfstudio.scripts.train import entrypoint; entrypoint()"
BROKEN = f"""
import sys
sys.modules["nerfstudio_mvc.nerfstudio_plugin." + sys.argv.pop(1)] = None
{TRAIN}
"""
SET_UP = """
import sys
from pathlib import Path
from nerfstudio.utils.eval_utils import eval_setup
config, pipeline, checkpoint, step = eval_setup(Path(sys.argv[1]))
print("loaded", config.method_name, "of step", step)
"""
PROCESS = """
import sys
from pathlib import Path
from nerfstudio.process_data.images_to_nerfstudio_dataset import ImagesToNerfstudioDataset
photos, output = map(Path, sys.argv[1:])
ImagesToNerfstudioDataset(data=photos, output_dir=output, matching_method="exhaustive", gpu=False).main()
"""
SPECIFICATIONS = """
import sys
from nerfstudio.configs.method_configs import all_methods, method_configs
ours, big = all_methods["mvc-splatfacto"], method_configs["splatfacto-big"]
assert ours.optimizers == big.optimizers
for name in ("steps_per_eval_image", "steps_per_save", "max_num_iterations", "mixed_precision", "viewer"):
    assert getattr(ours, name) == getattr(big, name), name
own, theirs = vars(ours.pipeline.model), vars(big.pipeline.model)
assert {name for name in own if own[name] != theirs.get(name)} == {"_target", "leave_prior", "median_depth"}
assert own["camera_optimizer"].mode == "off"
loaded = {name for name in sys.modules if name.startswith("nerfstudio_mvc.")}  # at every start of every ns-* command
parts = ("", ".dataparser", ".dataparser_entry", ".method_entry", ".splatfacto")
assert loaded == {"nerfstudio_mvc.errors", *("nerfstudio_mvc.nerfstudio_plugin" + part for part in parts)}, loaded
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """nerfstudio on the path, and entry points as pyproject.toml has them."""
    tomllib = pytest.importorskip("tomllib")
    home = tmp_path_factory.mktemp("home")
    info = home / "entry" / "nerfstudio_mvc-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nerfstudio_mvc\nVersion: 0.1.0\n")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [
        line
        for group, points in groups.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    path = (home / "entry", ROOT, PACKAGES, HERE / "stand_ins")
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "PYTHONWARNINGS": "ignore",
        "TORCH_HOME": str(home / "torch"),
        "TORCH_COMPILE_DISABLE": "1",
        "NERFSTUDIO_MVC_CACHE": str(home / "cache"),
        "COLUMNS": "300",
    }
    run(variables, "-c", NO_LPIPS)
    return variables


def run(variables: dict[str, str], *words: object, code: int = 0, cwd: Path | None = None) -> str:
    """What a Python with nerfstudio prints."""
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, env=variables, check=False, cwd=cwd
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reduced_sample(tmp_path_factory.mktemp("capture") / "bananas")


@pytest.fixture(scope="module")
def archive(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "bananas.mvc"
    compress_capture(capture, path, codec="av1", effort="fast", quality=3)
    return path


def assert_parsed_alike(environment: dict[str, str], original: Path, restored: Path) -> None:
    printed = run(environment, HERE / "compare_dataparsers.py", original, restored)
    for how, views, differ in json.loads(printed.strip().splitlines()[-1]):
        assert views > 0, how
        assert differ == [], how


def write_smaller_copies(folder: Path, factor: int) -> None:
    smaller = folder / f"images_{factor}"
    smaller.mkdir(exist_ok=True)
    for path in (folder / "images").iterdir():
        with Image.open(path) as photograph:
            photograph.reduce(factor).save(smaller / path.name)


def test_both_dataparsers_find_every_field_equal(environment, capture: Path, archive: Path, tmp_path: Path) -> None:
    original, restored = tmp_path / "original", tmp_path / "restored"
    shutil.copytree(capture, original)
    decompress_archive(archive, restored)
    for folder in (original, restored):
        for factor in (2, 8):
            write_smaller_copies(folder, factor)
    assert_parsed_alike(environment, original, restored)


@pytest.mark.skipif(
    shutil.which("colmap") is None or shutil.which("ffmpeg") is None,
    reason="needs colmap and ffmpeg (Debian's will do)",
)
def test_what_ns_process_data_makes_comes_back(environment, tmp_path: Path) -> None:
    original, archive, restored = tmp_path / "original", tmp_path / "a.mvc", tmp_path / "restored"
    (tmp_path / "photographs").mkdir()
    for path in PHOTOGRAPHS[:5]:
        with Image.open(path) as photograph:
            photograph.reduce(2).save(tmp_path / "photographs" / path.name, quality=95)
    offscreen = {**environment, "QT_QPA_PLATFORM": "offscreen"}
    run(offscreen, "-c", PROCESS, tmp_path / "photographs", original)
    compress_capture(original, archive, codec="av1", effort="fast", quality=3)
    decompress_archive(archive, restored)
    assert_parsed_alike(environment, original, restored)


def test_nerfacto_trains_from_a_file_and_is_loaded_again(environment, archive: Path, tmp_path: Path) -> None:
    rays = ("--pipeline.datamanager.train-num-rays-per-batch", 64, "--pipeline.model.eval-num-rays-per-chunk", 64)
    common = ("--machine.device-type", "cpu", "--vis", "tensorboard", "--output-dir", tmp_path / "outputs")
    parser = ("nerfstudio-mvc-data", "--data", archive, "--downscale-factor", 1)
    length = ("--max-num-iterations", 1, "--viewer.quit-on-train-completion", True)
    printed = run(environment, "-c", TRAIN, "nerfacto", *common, *length, *rays, *parser)
    assert "is restored in" in printed
    (written,) = tmp_path.rglob("config.yml")
    assert "loaded nerfacto of step 0" in run(environment, "-c", SET_UP, written)


def test_splatfacto_leaves_what_compression_takes(environment, capture: Path, tmp_path: Path) -> None:
    original, capture = capture, tmp_path / "bananas"
    shutil.copytree(original, capture)
    common = ("--machine.device-type", "cpu", "--vis", "tensorboard", "--output-dir", tmp_path / "outputs")
    length = ("--max-num-iterations", 3, "--steps-per-save", 2, "--viewer.quit-on-train-completion", True)
    words = ("mvc-splatfacto", *common, *length, "--pipeline.model.use-absgrad", False, "--data", capture)
    printed = run(environment, HERE / "train_without_kernels.py", *words)
    assert printed.count("Gaussians left") == 2  # at a save, and at the end
    report = compress_capture(capture, tmp_path / "a.mvc", effort="fast", quality=1)
    assert "left by ns-train, mvc-splatfacto" in report.depth
    assert PRIOR_FOLDER in {item.path for item in report.left_out}


def test_without_cuda_it_says_so_at_once(environment, capture: Path, tmp_path: Path) -> None:
    common = ("--machine.device-type", "cpu", "--vis", "tensorboard", "--output-dir", tmp_path / "outputs")
    printed = run(environment, "-c", TRAIN, "mvc-splatfacto", *common, "--data", capture, code=1)
    assert "ns-mvc-depth fits Gaussians on the CPU" in printed.strip().splitlines()[-1]
    assert "Traceback" not in printed


def test_the_method_has_splatfacto_bigs_settings(environment) -> None:
    run(environment, "-c", SPECIFICATIONS)


@pytest.mark.parametrize(("broken", "parts"), [("method_entry", 1), ("dataparser", 2)])
def test_ns_train_starts_whatever_of_ours_is_broken(environment, broken: str, parts: int) -> None:
    printed = run(environment, "-c", BROKEN, broken, "--help")
    assert "nerfacto" in printed
    assert "mvc-splatfacto" not in printed
    assert printed.count("left out of nerfstudio's commands") == parts
