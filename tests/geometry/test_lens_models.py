"""Lens models: both directions, against COLMAP itself, and cameras of cropped and resized photographs."""

import numpy as np
import pytest
import torch
from reference.lenses import LENSES, view

from colmap_io.records import Camera
from nerfstudio_mvc.errors import CaptureError, ShapeError
from nerfstudio_mvc.geometry.cameras import (
    crop_view,
    lens_of,
    longest_ray,
    pixels_from_rays,
    rays_from_pixels,
    resize_view,
)


def frame_pixels(width=100, height=76):
    v, u = torch.meshgrid(
        torch.linspace(0, height, 20, dtype=torch.float64),
        torch.linspace(0, width, 20, dtype=torch.float64),
        indexing="ij",
    )
    return u.reshape(-1), v.reshape(-1)


@pytest.mark.parametrize("model", LENSES)
def test_a_pixel_goes_to_its_ray_and_back(model):
    camera = Camera(1, model, 100, 76, LENSES[model])
    u, v = frame_pixels()
    again_u, again_v = pixels_from_rays(lens_of(camera), *rays_from_pixels(camera, u, v))
    assert torch.allclose(again_u, u, rtol=0, atol=1e-6)
    assert torch.allclose(again_v, v, rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", LENSES)
def test_rays_are_colmaps(model):
    pycolmap = pytest.importorskip("pycolmap")
    theirs = pycolmap.Camera(model=model, width=100, height=76, params=list(LENSES[model]))
    u, v = frame_pixels()
    x, y = rays_from_pixels(Camera(1, model, 100, 76, LENSES[model]), u, v)
    expected = theirs.cam_from_img(np.stack([u.numpy(), v.numpy()], axis=1))
    # Both invert iteratively; their tolerance is the looser one.
    assert np.allclose(torch.stack([x, y], dim=1).numpy(), expected, rtol=0, atol=1e-7)


def test_every_distortion_parameter_matters():
    u, v = frame_pixels()
    x, y = u / 100 - 0.5, v / 100 - 0.4
    for model, params in LENSES.items():
        base = pixels_from_rays(lens_of(Camera(1, model, 100, 76, params)), x, y)
        for idx in range(len(params)):
            changed = (*params[:idx], params[idx] * 1.5 + 7e-4, *params[idx + 1 :])
            other = pixels_from_rays(lens_of(Camera(1, model, 100, 76, changed)), x, y)
            assert not torch.allclose(torch.stack(base), torch.stack(other), rtol=0, atol=1e-9), (model, idx)


def test_no_ray_behind_the_fold_of_the_polynomial():
    # r (1 - 0.5 r^2) grows up to r = 0.816 only and reaches 0.544: pixels farther out see nothing.
    camera = Camera(1, "SIMPLE_RADIAL", 200, 200, (100.0, 100.0, 100.0, -0.5))
    u = torch.tensor([100.0, 150.0, 160.0, 199.0])
    x, _ = rays_from_pixels(camera, u, torch.full((4,), 100.0))
    assert torch.isfinite(x).tolist() == [True, True, False, False]
    assert 0.6 < longest_ray(camera) < 0.83


def test_no_ray_beyond_a_right_angle():
    camera = Camera(1, "OPENCV_FISHEYE", 400, 400, (100.0, 100.0, 200.0, 200.0, 0, 0, 0, 0))
    x, _ = rays_from_pixels(camera, torch.tensor([200.0, 350.0, 370.0]), torch.full((3,), 200.0))
    assert x[0] == 0
    assert x[1].item() == pytest.approx(np.tan(1.5), rel=1e-6)
    assert torch.isnan(x[2])


@pytest.mark.parametrize("model", LENSES)
def test_resizing_scales_pixels_and_keeps_rays(model):
    before = view(LENSES[model], 100, 76, model=model)
    after = resize_view(before, width=50, height=57)
    assert (after.width, after.height, after.camera.width, after.camera.height) == (50, 57, 50, 57)
    u, v = frame_pixels()
    rays = torch.stack(rays_from_pixels(before.camera, u, v))
    resized = torch.stack(rays_from_pixels(after.camera, u * 0.5, v * 0.75))
    assert torch.allclose(rays, resized, atol=1e-9)
    assert before.camera.params == LENSES[model]


@pytest.mark.parametrize("model", LENSES)
def test_cropping_moves_the_principal_point(model):
    before = view(LENSES[model], 100, 76, model=model)
    after = crop_view(before, left=13, top=7, width=40, height=30)
    u, v = frame_pixels(40, 30)
    rays = torch.stack(rays_from_pixels(before.camera, u + 13, v + 7))
    cropped = torch.stack(rays_from_pixels(after.camera, u, v))
    assert torch.allclose(rays, cropped, atol=1e-9)


def test_messages_name_the_camera_and_the_remedy():
    with pytest.raises(CaptureError, match=r"camera 7: .*'FOO'.*estimate it again"):
        lens_of(Camera(7, "FOO", 10, 10, (1.0,)))
    with pytest.raises(CaptureError, match="camera 7: PINHOLE has 4 parameters"):
        lens_of(Camera(7, "PINHOLE", 10, 10, (1.0, 2.0, 3.0)))
    for focal in (0.0, -5.0, float("nan"), float("inf")):
        with pytest.raises(CaptureError, match="camera 7"):
            lens_of(Camera(7, "SIMPLE_PINHOLE", 10, 10, (focal, 5.0, 5.0)))
    with pytest.raises(ShapeError, match="does not lie within"):
        crop_view(view(LENSES["OPENCV"], 100, 76), left=90, top=0, width=11, height=5)
    with pytest.raises(ShapeError, match="at least one pixel"):
        resize_view(view(LENSES["OPENCV"], 100, 76), width=0, height=5)
