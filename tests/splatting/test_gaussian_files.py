"""Trained Gaussians come back in the world of the capture, and bad files end in one CaptureError."""

import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import synthetic_scene as scene
import torch
from scipy.spatial.transform import Rotation

from nerfstudio_mvc.capture.camera_axes import nerfstudio_from_colmap
from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting.gaussian_files import read_gaussians, trained_views
from nerfstudio_mvc.splatting.gaussians import Gaussians, rotation_matrices

SCALE = 0.37
TURN = Rotation.from_euler("xyz", [0.3, -1.1, 2.0]).as_matrix()
TRANSFORM = np.concatenate([TURN, [[0.5], [-0.2], [1.5]]], axis=1)


def make_gaussians(count: int = 7) -> Gaussians:
    rng = np.random.default_rng(4)
    return Gaussians(
        rng.normal(0, 2, (count, 3)).astype(np.float32),
        rng.normal(-3, 1, (count, 3)).astype(np.float32),
        rng.normal(0, 1, (count, 4)).astype(np.float32),
        rng.normal(0, 1, count).astype(np.float32),
        rng.normal(0, 1, (count, 1, 3)).astype(np.float32),
    )


def covariances(gaussians: Gaussians) -> np.ndarray:
    half = rotation_matrices(gaussians.quaternions) * np.exp(gaussians.log_scales)[:, None, :]
    return half @ half.transpose(0, 2, 1)


def write_ply(path, gaussians: Gaussians) -> None:
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "f_rest_0", "opacity"]
    names += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    count = len(gaussians)
    table = np.concatenate(
        [
            gaussians.means,
            np.zeros((count, 3)),
            gaussians.harmonics[:, 0],
            np.zeros((count, 1)),
            gaussians.opacity_logits[:, None],
            gaussians.log_scales,
            gaussians.quaternions,
        ],
        axis=1,
    )
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    header += [f"property float {name}" for name in names] + ["end_header", ""]
    path.write_bytes("\n".join(header).encode() + table.astype("<f4").tobytes())


def write_run(folder, gaussians: Gaussians, pose_adjustment=None, *, step: int = 30) -> None:
    """What splatfacto leaves, the NumPy scalars of its schedulers included."""
    names = {"means": "means", "log_scales": "scales", "quaternions": "quats", "harmonics": "features_dc"}
    tensors = {
        f"_model.gauss_params.{new}": torch.tensor(getattr(gaussians, old).squeeze()) for old, new in names.items()
    }
    tensors["_model.gauss_params.opacities"] = torch.tensor(gaussians.opacity_logits[:, None])
    tensors["_model.gauss_params.features_rest"] = torch.zeros(len(gaussians), 15, 3)
    if pose_adjustment is not None:
        tensors["_model.camera_optimizer.pose_adjustment"] = torch.tensor(pose_adjustment)
    (folder / "nerfstudio_models").mkdir(parents=True, exist_ok=True)
    content = {"step": step, "pipeline": tensors, "schedulers": {"lr": np.float64(0.1)}}
    torch.save(content, folder / "nerfstudio_models" / f"step-{step:09d}.ckpt")
    (folder / "config.yml").write_text("!!python/object:nerfstudio.engine.trainer.TrainerConfig {}\n")
    (folder / "dataparser_transforms.json").write_text(
        json.dumps({"transform": TRANSFORM.tolist(), "scale": SCALE}), encoding="utf-8"
    )


def in_nerfstudio_world(gaussians: Gaussians) -> Gaussians:
    arrays = gaussians.arrays()
    arrays["means"] = (SCALE * (gaussians.means @ TURN.T + TRANSFORM[:, 3])).astype(np.float32)
    arrays["log_scales"] = gaussians.log_scales + np.float32(np.log(SCALE))
    turned = Rotation.from_matrix(TURN) * Rotation.from_quat(gaussians.quaternions[:, [1, 2, 3, 0]])
    arrays["quaternions"] = turned.as_quat()[:, [3, 0, 1, 2]].astype(np.float32)
    return Gaussians(**arrays)


def assert_same(found: Gaussians, expected: Gaussians) -> None:
    np.testing.assert_allclose(found.means, expected.means, atol=1e-4)
    np.testing.assert_allclose(covariances(found), covariances(expected), rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(found.opacity_logits, expected.opacity_logits)
    np.testing.assert_array_equal(found.harmonics, expected.harmonics)


def test_a_ply_is_taken_as_it_is(tmp_path):
    gaussians = make_gaussians()
    write_ply(tmp_path / "splat.ply", gaussians)
    assert_same(read_gaussians(tmp_path / "splat.ply").gaussians, gaussians)


def test_a_ply_beside_dataparser_transforms_is_brought_back(tmp_path):
    gaussians = make_gaussians()
    write_run(tmp_path, gaussians)
    write_ply(tmp_path / "splat.ply", in_nerfstudio_world(gaussians))
    assert_same(read_gaussians(tmp_path / "splat.ply").gaussians, gaussians)


@pytest.mark.parametrize("given", ["config.yml", ".", "nerfstudio_models/step-000000030.ckpt"])
def test_splatfacto_comes_back_in_the_original_world(tmp_path, given):
    gaussians = make_gaussians()
    write_run(tmp_path, in_nerfstudio_world(make_gaussians(3)), step=20)
    write_run(tmp_path, in_nerfstudio_world(gaussians))
    trained = read_gaussians(tmp_path / given)
    assert_same(trained.gaussians, gaussians)
    assert trained.camera_shifts is None


def test_camera_shifts_are_those_of_nerfstudios_optimiser(tmp_path):
    adjustment = np.array([[0.02, -0.01, 0.03, 0.1, -0.05, 0.2], [0, 0, 0, 0, 0, 0]], np.float32)
    write_run(tmp_path, in_nerfstudio_world(make_gaussians()), adjustment)
    shifts = read_gaussians(tmp_path / "config.yml").camera_shifts
    given = scene.look_at(0, (0.5, -0.2, 0.1)).cam_from_world
    # nerfstudio: scaled world, camera-to-world @ correction.
    correction = np.eye(4)
    correction[:3, :3] = Rotation.from_rotvec(adjustment[0, 3:]).as_matrix()
    correction[:3, 3] = adjustment[0, :3] / SCALE
    expected = nerfstudio_from_colmap(given) @ correction
    np.testing.assert_allclose(nerfstudio_from_colmap(shifts[0] @ given), expected, atol=1e-6)
    np.testing.assert_allclose(shifts[1], np.eye(4), atol=1e-7)


def test_training_views_follow_nerfstudios_split():
    assert trained_views(10, 10).tolist() == list(range(10))
    assert trained_views(9, 10).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    assert trained_views(5, 10) is None


def test_unusable_rows_are_dropped(tmp_path):
    gaussians = make_gaussians()
    gaussians.means[2, 1] = np.nan
    gaussians.quaternions[4] = 0
    gaussians.opacity_logits[5] = np.inf
    write_ply(tmp_path / "splat.ply", gaussians)
    assert len(read_gaussians(tmp_path / "splat.ply").gaussians) == len(gaussians) - 3


def damaged_files(folder):
    write_ply(folder / "good.ply", make_gaussians())
    good = (folder / "good.ply").read_bytes()
    write_run(folder / "run", make_gaussians())
    checkpoint = (folder / "run" / "nerfstudio_models" / "step-000000030.ckpt").read_bytes()
    yield "missing", None
    yield "cut.ply", good[:-5]
    yield "points.ply", good.replace(b"rot_3", b"rot_x")
    yield "empty.ply", b""
    yield "cut.ckpt", checkpoint[: len(checkpoint) // 2]
    yield "text.ckpt", b"not a checkpoint"


def test_bad_files_end_in_one_line(tmp_path):
    for name, content in damaged_files(tmp_path):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(CaptureError) as caught:
            read_gaussians(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_method_and_an_ambiguous_folder(tmp_path):
    torch.save({"pipeline": {"_model.field.weight": torch.zeros(3)}}, tmp_path / "nerf.ckpt")
    with pytest.raises(CaptureError, match="not a splatfacto checkpoint"):
        read_gaussians(tmp_path / "nerf.ckpt")
    with pytest.raises(CaptureError, match=r"holds no step-\*"):
        read_gaussians(tmp_path)
    write_run(tmp_path / "first", make_gaussians())
    write_run(tmp_path / "second", make_gaussians())
    with pytest.raises(CaptureError, match="2 training runs"):
        read_gaussians(tmp_path)
    (tmp_path / "first" / "dataparser_transforms.json").write_text('{"transform": [[1]], "scale": 1}')
    with pytest.raises(CaptureError, match="unusable"):
        read_gaussians(tmp_path / "first")
    (tmp_path / "first" / "dataparser_transforms.json").unlink()
    with pytest.raises(CaptureError, match="missing beside it"):
        read_gaussians(tmp_path / "first")


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    torch.save({"pipeline": Attack()}, tmp_path / "attack.ckpt")
    with pytest.raises(CaptureError):
        read_gaussians(tmp_path / "attack.ckpt")
    assert not (tmp_path / "written").exists()


def test_what_is_not_needed_of_a_checkpoint_may_be_of_any_type(tmp_path):
    gaussians = make_gaussians()
    write_run(tmp_path, in_nerfstudio_world(gaussians))
    path = tmp_path / "nerfstudio_models" / "step-000000030.ckpt"
    content = torch.load(path, weights_only=False)
    content["optimizers"] = {"means": torch.optim.Adam([torch.zeros(3)]), "when": Path(), "random": np.random.PCG64(1)}
    torch.save(content, path)
    assert_same(read_gaussians(tmp_path / "config.yml").gaussians, gaussians)


def test_a_program_is_not_loaded(tmp_path):
    with ZipFile(tmp_path / "program.ckpt", "w") as archive:
        archive.writestr("program/data.pkl", b"")
        archive.writestr("program/constants.pkl", b"")  # what makes torch.load take it for TorchScript
    with pytest.raises(CaptureError, match="TorchScript"):
        read_gaussians(tmp_path / "program.ckpt")
