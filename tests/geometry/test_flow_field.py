"""Flow between two distorted views of different size: against a loop over pixels, and its axioms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.flow_loop import distort, landing_loop
from reference.lenses import LENSES, view
from reference.plane_scene import pose, render

from nerfstudio_mvc.errors import CaptureError, ShapeError
from nerfstudio_mvc.geometry.flow import flow_to_reference
from nerfstudio_mvc.geometry.projection import project, relative_pose, unproject
from nerfstudio_mvc.geometry.ray_grids import ray_grid

CURRENT = ((60, 62, 33, 22, -0.15, 0.05, 0.002, -0.003), 64, 48, pose(0.05, -0.04, [0.1, 0.0, 0.2]))
REFERENCE = ((85, 84, 44, 37, -0.2, 0.04, -0.001, 0.002), 90, 70, pose(-0.06, 0.03, [-0.2, 0.15, 0.0]))


def views():
    return view(*CURRENT), view(*REFERENCE)


def plane_depth(camera, rows=None, columns=None):
    return torch.from_numpy(render(*camera, rows, columns)[0]).float()


def test_against_the_loop():
    rng = np.random.default_rng(0)
    depth, reference_depth = rng.uniform(2, 6, (7, 9)), rng.uniform(3, 5, (6, 8))
    uv, z, valid = landing_loop(depth, CURRENT, REFERENCE, 24, 30, reference_depth)
    current, reference = views()
    field = flow_to_reference(
        torch.from_numpy(depth),
        current=current,
        reference=reference,
        reference_depth=torch.from_numpy(reference_depth),
        height=24,
        width=30,
    )
    assert 0.2 < valid.mean() < 0.9  # the case is a mixed one
    assert np.array_equal(field.valid.numpy(), valid)
    assert field.reference_size == (35, 42)
    columns, rows = np.arange(30) + 0.5, np.arange(24)[:, None] + 0.5
    landed_u = (field.flow[0].numpy() + columns) * 90 / 42
    landed_v = (field.flow[1].numpy() + rows) * 70 / 35
    # float32 positions over 90 pixels
    assert np.abs(landed_u - uv[..., 0])[valid].max() < 1e-3
    assert np.abs(landed_v - uv[..., 1])[valid].max() < 1e-3
    assert np.abs(field.z_reference.numpy() - z)[valid].max() < 1e-4
    assert not field.flow[:, ~field.valid].any()


@pytest.mark.parametrize("model", LENSES)
def test_flow_to_itself_is_zero(model):
    same = view(LENSES[model], 100, 76, pose(0.3, 0.2, [1, 2, 3]), model)
    depth = torch.from_numpy(np.random.default_rng(1).uniform(1, 9, (76, 100)))
    field = flow_to_reference(depth, current=same, reference=same, reference_depth=depth)
    assert field.valid.all()
    assert field.flow.abs().max() < 1e-3  # pixels; lens inverted and applied again in float32
    assert torch.allclose(field.z_reference, depth.float(), rtol=1e-5)


def test_there_and_back():
    current, reference = views()
    there = flow_to_reference(plane_depth(CURRENT), current=current, reference=reference)
    v, u = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    landed = torch.stack([u * 64 / 64 + there.flow[0], v + there.flow[1]])
    rays = ray_grid(reference.camera, 70 * 8, 90 * 8)
    scale_x, scale_y = 90 * 8 / there.reference_size[1], 70 * 8 / there.reference_size[0]
    column, row = (landed[0] * scale_x).long().clamp(0, 719), (landed[1] * scale_y).long().clamp(0, 559)
    seen = rays[row, column]
    points = torch.stack([seen[..., 0] * there.z_reference, seen[..., 1] * there.z_reference, there.z_reference])
    back = torch.from_numpy(relative_pose(current=reference, reference=current)).float()
    pixels, visible = project(torch.einsum("ij,jhw->ihw", back[:3, :3], points) + back[:3, 3, None, None], view=current)
    error = (pixels - torch.stack([u, v])).abs().amax(0)[there.valid & visible]
    # The reference pixel was rounded to an eighth.
    assert there.valid.float().mean() > 0.5
    assert error.max() < 0.15


def test_half_resolution_grids_agree_with_the_full_one():
    current, reference = views()
    depth = plane_depth(CURRENT)
    full = flow_to_reference(depth, current=current, reference=reference)
    half = flow_to_reference(depth, current=current, reference=reference, height=24, width=32)
    averaged = torch.nn.functional.avg_pool2d(full.flow[None], 2)[0] / 2
    inside = torch.nn.functional.avg_pool2d(full.valid[None].float(), 2)[0] == 1
    assert inside.float().mean() > 0.5
    assert (averaged - half.flow).abs().amax(0)[inside].max() < 0.05


def test_depth_is_interpolated_as_inverse_depth():
    # 1 / z of a plane is linear over the pixels of a pinhole, so a coarse grid of it is exact between its centres.
    current = view((60, 60, 32, 24), 64, 48, pose(0.05, -0.04, [0.1, 0, 0.2]), "PINHOLE")
    reference = view((60, 60, 32, 24), 64, 48, pose(-0.06, 0.03, [-0.2, 0.15, 0]), "PINHOLE")
    camera = ((60, 60, 32, 24, 0, 0, 0, 0), 64, 48, current.cam_from_world)
    fine = flow_to_reference(plane_depth(camera), current=current, reference=reference)
    coarse = flow_to_reference(plane_depth(camera, 6, 8), current=current, reference=reference, height=48, width=64)
    inner = (slice(None), slice(4, -4), slice(4, -4))
    both = (fine.valid & coarse.valid)[inner[1:]]
    assert both.float().mean() > 0.6
    assert (fine.flow - coarse.flow)[inner].abs().amax(0)[both].max() < 1e-3


def test_missing_depth_is_not_mixed_in():
    current, reference = views()
    depth = torch.full((6, 8), 4.0)
    depth[2, 3], depth[4, 5], depth[0, 0] = 0.0, -1.0, torch.nan
    holes = flow_to_reference(depth, current=current, reference=reference, height=48, width=64)
    whole = flow_to_reference(torch.full((6, 8), 4.0), current=current, reference=reference, height=48, width=64)
    assert not holes.valid[20, 28]  # the centre of the missing cell
    # Towards a neighbour depth is kept up to half way: 0.31 and 0.69 of the missing cell in the mix.
    assert holes.valid[20, 22]
    assert not holes.valid[20, 25]
    assert holes.valid.sum() < whole.valid.sum()
    assert torch.allclose(holes.flow[:, holes.valid], whole.flow[:, holes.valid], atol=1e-3)


@pytest.mark.parametrize("value", [0.0, -0.0, -3.0, float("nan"), float("inf"), -float("inf"), 1e-45, 3e38])
def test_any_depth_value_gives_a_finite_field(value):
    current, reference = views()
    depth = torch.full((6, 8), 4.0)
    depth[2:4, 3:5] = value
    field = flow_to_reference(depth, current=current, reference=reference, reference_depth=depth, height=48, width=64)
    assert torch.isfinite(field.flow).all()
    assert torch.isfinite(field.z_reference).all()
    assert field.valid.any()
    if not 0 < value < 4e38 or value == 1e-45:
        assert not field.valid[20:28, 28:36].any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_hardly_matters():
    current, reference = views()
    depth = plane_depth(CURRENT, 6, 8)
    arguments = {"current": current, "reference": reference, "height": 48, "width": 64}
    here = flow_to_reference(depth, **arguments)
    there = flow_to_reference(depth.cuda(), **arguments)
    assert there.flow.is_cuda
    both = here.valid & there.valid.cpu()
    assert (here.valid != there.valid.cpu()).sum() <= 4  # the frame's border may fall either way
    assert (here.flow - there.flow.cpu())[:, both].abs().max() < 1e-3


def test_hidden_content_is_not_valid():
    here = view((50, 50, 32, 24), 64, 48, None, "PINHOLE")
    depth = torch.full((48, 64), 4.0)
    for in_front, visible in ((4.0, True), (3.9, True), (3.7, False), (1.0, False), (0.0, True)):
        field = flow_to_reference(depth, current=here, reference=here, reference_depth=torch.full((48, 64), in_front))
        assert bool(field.valid.all()) == visible, in_front
        assert bool(field.valid.any()) == visible, in_front


def test_what_lies_behind_or_beside_the_reference_is_not_valid():
    here = view((50, 50, 32, 24), 64, 48, None, "PINHOLE")
    depth = torch.full((48, 64), 4.0)
    turned = view((50, 50, 32, 24), 64, 48, pose(np.pi, 0, [0, 0, 0]), "PINHOLE")
    past = view((50, 50, 32, 24), 64, 48, pose(0, 0, [0, 0, -4.5]), "PINHOLE")
    beside = view((50, 50, 32, 24), 64, 48, pose(0, 0, [-2.56, 0, 0]), "PINHOLE")  # 32 pixels at depth 4
    assert not flow_to_reference(depth, current=here, reference=turned).valid.any()
    assert not flow_to_reference(depth, current=here, reference=past).valid.any()
    on_axis = view((50, 50, 32.5, 24.5), 65, 49, None, "PINHOLE")
    behind = view((50, 50, 32.5, 24.5), 65, 49, past.cam_from_world, "PINHOLE")
    assert not flow_to_reference(torch.full((49, 65), 4.0), current=on_axis, reference=behind).valid.any()
    field = flow_to_reference(depth, current=here, reference=beside)
    assert not field.valid[:, :32].any()
    assert field.valid[:, 32:].all()
    assert torch.allclose(field.flow[0, :, 32:], torch.tensor(-32.0), atol=1e-4)


def test_far_rays_do_not_fold_back_into_a_distorted_frame():
    # Without the limit on ray length r (1 - 0.3 r^2) brings r = 2.1 back to the far side of the frame.
    narrow = view((100, 50, 50, -0.3), 100, 100, None, "SIMPLE_RADIAL")
    wide = view((20, 100, 100), 200, 200, None, "SIMPLE_PINHOLE")
    field = flow_to_reference(torch.ones(200, 200), current=wide, reference=narrow)
    radius = torch.linalg.vector_norm(ray_grid(wide.camera, 200, 200), dim=-1)
    assert field.valid.any()
    assert not (field.valid & (radius > 1.0)).any()


def test_scale_of_the_world_does_not_matter():
    current, reference = views()
    field = flow_to_reference(plane_depth(CURRENT), current=current, reference=reference)
    for scale in (1e-4, 1e5):
        poses = [CURRENT[3].copy(), REFERENCE[3].copy()]
        for matrix in poses:
            matrix[:3, 3] *= scale
        scaled = flow_to_reference(
            plane_depth(CURRENT) * scale,
            current=view(*CURRENT[:3], poses[0]),
            reference=view(*REFERENCE[:3], poses[1]),
        )
        assert (scaled.valid != field.valid).float().mean() < 2e-3  # pixels on the very border may flip
        both = scaled.valid & field.valid
        assert torch.allclose(scaled.flow[:, both], field.flow[:, both], atol=1e-3)


def test_ray_grid_is_exact_between_its_nodes():
    rays = ray_grid(views()[1].camera, 70, 90).double().numpy()
    u, v = distort(REFERENCE[0], rays[..., 0], rays[..., 1])
    assert np.abs(u - (np.arange(90) + 0.5)).max() < 1e-3
    assert np.abs(v - (np.arange(70)[:, None] + 0.5)).max() < 1e-3


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 40), (3, 2)])
def test_tiny_photographs(width, height):
    tiny = view((30, 30, width / 2, height / 2, -0.1, 0.01, 0.001, 0.001), width, height)
    field = flow_to_reference(torch.ones(1, 1), current=tiny, reference=tiny, height=height, width=width)
    assert field.valid.all()
    assert field.flow.abs().max() < 1e-3


def test_unprojecting_and_projecting_is_the_identity():
    current, _ = views()
    depth = plane_depth(CURRENT)
    pixels, visible = project(unproject(depth, view=current), view=current)
    assert visible.all()
    assert (pixels[0] - (torch.arange(64) + 0.5)).abs().max() < 1e-3
    assert (pixels[1] - (torch.arange(48)[:, None] + 0.5)).abs().max() < 1e-3


def test_points_behind_the_camera_are_not_visible():
    here = view((50, 50, 32, 24), 64, 48, None, "PINHOLE")
    points = torch.tensor([[0.1, 0.1, 0.1, 9.0], [0.2, 0.2, 0.2, 0.0], [1.0, -1.0, 0.0, 1.0]])
    pixels, visible = project(points, view=here)
    assert visible.tolist() == [True, False, False, False]
    assert torch.allclose(pixels[:, 0], torch.tensor([37.0, 34.0]))
    assert not pixels[:, 1:].any()


def test_arguments_are_left_alone_and_misfits_refused():
    current, reference = views()
    depth = plane_depth(CURRENT)
    kept = depth.clone()
    flow_to_reference(depth, current=current, reference=reference, reference_depth=depth)
    assert torch.equal(depth, kept)
    with pytest.raises(ShapeError, match="depth has shape"):
        flow_to_reference(depth[None], current=current, reference=reference)
    with pytest.raises(ShapeError, match="reference depth has shape"):
        flow_to_reference(depth, current=current, reference=reference, reference_depth=depth[0])
    other_size = replace(current, width=50)
    with pytest.raises(ShapeError, match="has 50x48 pixels, its camera 64x48"):
        flow_to_reference(depth, current=other_size, reference=reference)
    unknown = view((60, 60, 32, 24, 1, 1), 64, 48, model="EUCM")
    with pytest.raises(CaptureError, match=r"EUCM.*estimate it again"):
        flow_to_reference(depth, current=unknown, reference=reference)
    singular = view(*CURRENT[:3], np.zeros((4, 4)), name="broken.jpg")
    with pytest.raises(CaptureError, match=r"broken\.jpg"):
        flow_to_reference(depth, current=singular, reference=reference)
