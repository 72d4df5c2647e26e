"""The CUDA fit: its loss and its loop on the CPU with a stand-in for gsplat; the real thing where there is a GPU."""

import sys
import types

import numpy as np
import pytest
import synthetic_scene as scene
import torch
from dense_rasterizer import dense_draw

from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting import capture_gaussians, fitting, gsplat_backend
from nerfstudio_mvc.splatting.capture_gaussians import near_plane, scene_frame
from nerfstudio_mvc.splatting.fitting import FittingSettings, TrainingView, starting_gaussians
from nerfstudio_mvc.splatting.gaussians import Gaussians
from nerfstudio_mvc.splatting.photometric_loss import PhotometricLoss
from nerfstudio_mvc.splatting.pinhole_views import pinhole_view
from nerfstudio_mvc.splatting.prior import estimate_depth
from nerfstudio_mvc.splatting.workers import Workers


def stand_in() -> types.ModuleType:
    """A module with the part of gsplat's interface that is used, drawn by the dense reference."""

    def rasterization(means, quats, scales, opacities, colors, viewmats, Ks, width, height, **options):
        assert options["packed"] is False
        assert options["sh_degree"] == 1
        parameters = {
            "means": means.double(),
            "quaternions": quats.double(),
            "log_scales": scales.log().double(),
            "opacity_logits": torch.logit(opacities).double(),
            "harmonics": colors.double(),
        }
        intrinsics = (Ks[0, 0, 0].item(), Ks[0, 1, 1].item(), Ks[0, 0, 2].item(), Ks[0, 1, 2].item())
        background = options["backgrounds"][0].tolist() if "backgrounds" in options else (0.0, 0.0, 0.0)
        image, through, *_ = dense_draw(parameters, viewmats[0].numpy(), *intrinsics, width, height, background)
        # Every splat is pulled at; gsplat says so once the loss has gone backward.
        means2d = (
            types.SimpleNamespace(absgrad=torch.full((1, len(means), 2), 0.01)) if options.get("absgrad") else None
        )
        return image.float()[None], (1 - through).float()[None, :, :, None], {"means2d": means2d}

    module = types.ModuleType("gsplat")
    module.rasterization = rasterization
    return module


def test_the_loss_is_that_of_the_cpu_fit():
    rng = np.random.default_rng(0)
    image, target = rng.uniform(0, 1, (2, 20, 30, 3)).astype(np.float32)
    with Workers(1) as workers:
        expected, _ = PhotometricLoss(20, 30).gradient(image, target, np.ones((20, 30), np.float32), workers=workers)
    found = gsplat_backend._photometric_loss(torch.from_numpy(image), torch.from_numpy(target))
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_the_loop_brings_the_loss_down(monkeypatch):
    monkeypatch.setitem(sys.modules, "gsplat", stand_in())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gsplat_backend, "densification_due", lambda iteration, iterations: iteration == 10)
    centers = ((-0.4, 0.0, 0.0), (0.4, 0.0, 0.0))
    capture = scene.capture([scene.look_at(i, at, size=(24, 18)) for i, at in enumerate(centers)], point_count=60)
    frame = scene_frame(capture)
    views = []
    for view in capture.views:
        image = np.round(scene.picture(view).color * 255).astype(np.uint8)
        camera = pinhole_view(view, frame, long_side=24).camera
        views.append(TrainingView(camera, image, np.ones(image.shape[:2], np.float32)))
    points = (capture.points - frame.offset) * frame.scale
    start = starting_gaussians(points, capture.point_colors / 255.0, max_count=60)
    done = []
    fitted = gsplat_backend.fit_with_gsplat(
        start,
        views,
        FittingSettings(24, 25, 75),
        near=near_plane(capture, frame),
        device="cpu",
        on_iteration=lambda *at: done.append(at),
    )
    assert done[-1] == (25, 25)
    assert 60 < len(fitted) <= 75
    assert error_of(fitted, views) < 0.85 * error_of(start, views)


def test_a_step_is_that_of_the_cpu_fit():
    rng = np.random.default_rng(0)
    start = starting_gaussians(rng.normal(0, 1, (40, 3)), rng.uniform(0, 1, (40, 3)), max_count=40)
    on_cpu = fitting._Optimizer(start, np.random.default_rng(1))
    on_gpu = gsplat_backend._Optimizer(start, np.random.default_rng(1), "cpu")
    with Workers(1) as workers:
        for iteration in range(1, 8):
            seen = rng.uniform(0, 1, len(on_cpu.gaussians)) < 0.6
            slopes = {
                name: rng.normal(0, 1, a.shape).astype(np.float32) * seen.reshape(-1, *[1] * (a.ndim - 1))
                for name, a in on_cpu.gaussians.arrays().items()
            }
            pull = rng.uniform(0, 2e-3, (len(seen), 2)).astype(np.float32) * seen[:, None]
            on_cpu.step(Gaussians(**slopes), seen, iteration, 10, workers=workers)
            on_cpu.watch(pull)
            for name, slope in slopes.items():
                on_gpu.params[name].grad = torch.from_numpy(slope)
            on_gpu.step(torch.from_numpy(pull).norm(dim=1), iteration, 10)
            if iteration == 4:
                on_cpu.densify(200)
                on_gpu.densify(200)
                assert len(on_cpu.gaussians) > 40
    for name, array in on_gpu.gaussians().arrays().items():
        np.testing.assert_allclose(array, on_cpu.gaussians.arrays()[name], rtol=1e-4, atol=1e-5, err_msg=name)


def error_of(gaussians, views):
    parameters = {name: torch.tensor(array).double() for name, array in gaussians.arrays().items()}
    errors = []
    for view in views:
        c = view.camera
        image, *_ = dense_draw(parameters, c.cam_from_world, c.fx, c.fy, c.cx, c.cy, c.width, c.height, (0, 0, 0))
        errors.append(np.abs(image.numpy() - view.image / 255.0).mean())
    return np.mean(errors)


def test_without_gsplat_or_cuda_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(CaptureError, match="pip install gsplat"):
        gsplat_backend.fit_with_gsplat(None, [], None, near=0.1, device="cuda")
    monkeypatch.setitem(sys.modules, "gsplat", stand_in())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CaptureError, match="--device cpu"):
        gsplat_backend.fit_with_gsplat(None, [], None, near=0.1, device="cuda")


def test_why_not_says_what_is_missing(monkeypatch, capsys):
    if not gsplat_backend.is_available():
        assert gsplat_backend.why_not("cuda") == "gsplat is not installed"
    monkeypatch.setattr(gsplat_backend, "is_available", lambda: True)
    module = stand_in()
    monkeypatch.setitem(sys.modules, "gsplat", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gsplat_backend.why_not("cuda") == "there is no CUDA device"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert gsplat_backend.why_not("cpu") is None

    def fails(*arguments, **options):
        print("gsplat: No CUDA toolkit found.")
        raise AttributeError("'NoneType' object has no attribute 'CameraModelType'\nand more")

    module.rasterization = fails
    assert gsplat_backend.why_not("cpu").endswith("has no attribute 'CameraModelType')")
    assert capsys.readouterr().out == ""


def test_a_gpu_without_gsplat_is_fitted_on_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(gsplat_backend, "why_not", lambda device: "gsplat is not installed")
    monkeypatch.setattr(capture_gaussians, "settings_for", lambda effort, count, long_side: FittingSettings(32, 5, 200))
    views = [scene.look_at(i, (0.3 * i, 0.0, 0.0), size=(32, 24)) for i in range(3)]
    capture = scene.capture(views, tmp_path, point_count=150)
    assert "(CPU: gsplat is not installed)" in estimate_depth(capture, method="gaussians", device="cuda").note


@pytest.mark.gpu
@pytest.mark.skipif(not (torch.cuda.is_available() and gsplat_backend.is_available()), reason="needs CUDA and gsplat")
def test_gsplat_and_the_cpu_agree_on_depth(tmp_path, monkeypatch):
    monkeypatch.setattr(
        capture_gaussians, "settings_for", lambda effort, count, long_side: FittingSettings(long_side, 600, 4000)
    )
    centers = [(x, y, 0.0) for y in (-0.4, 0.4) for x in (-0.9, -0.3, 0.3, 0.9)]
    views = [scene.look_at(i, at, size=(160, 120)) for i, at in enumerate(centers)]
    capture = scene.capture(views, tmp_path, point_count=600)
    for device in ("cuda", "cpu"):
        maps = estimate_depth(capture, method="gaussians", device=device).maps
        errors = [np.abs(m.depth / scene.picture(v).depth - 1) for m, v in zip(maps, capture.views, strict=True)]
        assert np.median(errors) < 0.01
