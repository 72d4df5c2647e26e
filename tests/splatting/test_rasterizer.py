"""The rasteriser against a dense float64 reference, and against itself on other numbers of threads."""

import numpy as np
import pytest
import torch
from dense_rasterizer import dense_draw

from nerfstudio_mvc.splatting.gaussians import Gaussians
from nerfstudio_mvc.splatting.projection import PinholeCamera
from nerfstudio_mvc.splatting.rasterizer import draw, draw_backward
from nerfstudio_mvc.splatting.workers import Workers

BACKGROUND = (0.3, 0.6, 0.1)


def make_gaussians(count: int, bands: int, seed: int) -> Gaussians:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(2, 6, count)
    means = np.stack([rng.uniform(-0.7, 0.7, count) * depth, rng.uniform(-0.6, 0.6, count) * depth, depth], 1)
    return Gaussians(
        means=means.astype(np.float32),
        log_scales=np.log(rng.uniform(0.05, 0.5, (count, 3))).astype(np.float32),
        quaternions=(1.7 * rng.standard_normal((count, 4))).astype(np.float32),
        opacity_logits=rng.uniform(-2, 4, count).astype(np.float32),
        harmonics=rng.normal(0, 0.6, (count, bands, 3)).astype(np.float32),
    )


def make_camera(width: int = 37, height: int = 29) -> PinholeCamera:
    angle = 0.1
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    pose[:3, 3] = [0.2, -0.1, 0.3]
    return PinholeCamera(pose, 31.0, 33.0, width / 2 + 1.3, height / 2 - 0.7, width, height)


def dense(gaussians: Gaussians, camera: PinholeCamera):
    parameters = {
        name: torch.tensor(array, dtype=torch.float64, requires_grad=True) for name, array in gaussians.arrays().items()
    }
    intrinsics = (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
    return parameters, dense_draw(parameters, camera.cam_from_world, *intrinsics, BACKGROUND)


@pytest.mark.parametrize("bands", [1, 4])
def test_drawing_equals_the_dense_reference(bands):
    gaussians, camera = make_gaussians(60, bands, seed=3), make_camera()
    with Workers(2) as workers:
        drawing = draw(gaussians, camera, workers=workers, near=0.01, background=BACKGROUND)
    _, (image, through, median, summed) = dense(gaussians, camera)
    assert np.abs(drawing.image - image.detach().numpy()).max() < 1e-5  # float32, and exp to 1e-6
    assert np.abs(drawing.transmittance - through.detach().numpy()).max() < 1e-5
    assert np.abs(drawing.summed_depth - summed.detach().numpy()).max() < 5e-5
    assert (drawing.median_depth == 0).any()
    assert (drawing.median_depth > 0).any()
    np.testing.assert_allclose(drawing.median_depth, median.detach().numpy(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("bands", [1, 4])
def test_gradients_equal_autograd(bands):
    gaussians, camera = make_gaussians(60, bands, seed=3), make_camera()
    image_gradient = np.random.default_rng(1).normal(0, 1, (camera.height, camera.width, 3)).astype(np.float32)
    with Workers(2) as workers:
        drawing = draw(gaussians, camera, workers=workers, near=0.01, background=BACKGROUND, with_depth=False)
        gradients, _ = draw_backward(drawing, image_gradient, gaussians, camera, workers=workers)
    parameters, (image, *_) = dense(gaussians, camera)
    (image * torch.tensor(image_gradient)).sum().backward()
    for name, gradient in gradients.arrays().items():
        expected = parameters[name].grad.numpy()
        assert np.abs(gradient - expected).max() < 1e-5 * np.abs(expected).max(), name


def test_absolute_gradient_bounds_the_gradient_of_the_center():
    gaussians, camera = make_gaussians(40, 1, seed=5), make_camera()
    with Workers(1) as workers:
        drawing = draw(gaussians, camera, workers=workers, near=0.01)
        _, absolute = draw_backward(drawing, np.ones_like(drawing.image), gaussians, camera, workers=workers)
    assert (absolute[drawing.visible] > 0).any()
    assert (absolute[~drawing.visible] == 0).all()


def test_result_does_not_depend_on_the_number_of_threads():
    gaussians, camera = make_gaussians(500, 4, seed=7), make_camera(130, 90)
    results = []
    for threads in (1, 2, 3):
        with Workers(threads) as workers:
            drawing = draw(gaussians, camera, workers=workers, near=0.01)
            gradients, absolute = draw_backward(drawing, drawing.image, gaussians, camera, workers=workers)
        results.append([drawing.image, drawing.median_depth, absolute, *gradients.arrays().values()])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_frame_without_gaussians_is_background():
    gaussians, camera = make_gaussians(1, 1, seed=0), make_camera(9, 5)
    behind = gaussians.moved(offset=np.array([0, 0, 100.0]), scale=1.0)
    with Workers(1) as workers:
        drawing = draw(behind, camera, workers=workers, near=0.01, background=BACKGROUND)
    assert (drawing.image == np.float32(BACKGROUND)).all()
    assert (drawing.median_depth == 0).all()
