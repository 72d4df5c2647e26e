"""The coded depth is the one that predicts best for its bits: against the exact scene, and loops over paths."""

from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference.read_at_flow import read_at
from synthetic_scene import look_at, picture

from nerfstudio_mvc.capture.views import SourceView
from nerfstudio_mvc.entropy.interlaced_scans import COARSEST_RESIDUAL_STEP
from nerfstudio_mvc.entropy.tables import logistic_limit, tables_from_histograms
from nerfstudio_mvc.geometry.flow import flow_to_reference
from nerfstudio_mvc.geometry.warping import warp_view
from nerfstudio_mvc.prediction.depth_coding import (
    coded_grid,
    decode_depth,
    encode_depth,
    quantise_depth,
)
from nerfstudio_mvc.prediction.depth_for_prediction import depth_for_prediction
from nerfstudio_mvc.prediction.depth_precision import choose_step, on_coded_grid, pixels_per_inverse_depth
from nerfstudio_mvc.prediction.depth_quantisation import PictureLoss, lost_bits, quantise_for_prediction
from nerfstudio_mvc.prediction.depth_refinement import (
    SAMPLES_PER_CELL,
    SeenView,
    aggregate,
    matching_cost,
    refine_inverse_depth,
)
from nerfstudio_mvc.prediction.luma import luma_levels
from nerfstudio_mvc.prediction.reference_pictures import DecodedView

SCALES = 0.03 * np.exp(np.arange(64) * np.log(160 / 0.03) / 63)
TABLES = tables_from_histograms(SCALES, [np.zeros(2 * logistic_limit(scale) + 2) for scale in SCALES])
SIZE = (252, 189)


def seen(view):
    shown = picture(view)
    pixels = torch.from_numpy(shown.color.astype(np.float32)).permute(2, 0, 1).contiguous()
    return SeenView(view, pixels, torch.from_numpy(shown.depth.astype(np.float32)))


@pytest.fixture(scope="module")
def scene():
    """The current view and two references, a lens with distortion on one of them."""
    lens = (-0.05, 0.01, 1e-3, -5e-4)
    return (
        seen(look_at(0, (0.0, 0.0, 0.0), size=SIZE)),
        seen(look_at(1, (0.35, 0.05, 0.1), size=SIZE, model="OPENCV", lens=lens)),
        seen(look_at(2, (-0.5, 0.1, 0.0), size=SIZE)),
    )


@pytest.fixture(scope="module")
def truth(scene):
    return on_coded_grid(scene[0].depth, view=scene[0].view)


def refine(scene, prior, *, count=2):
    return refine_inverse_depth(prior, current=scene[0].view, pixels=scene[0].pixels, references=scene[1 : 1 + count])


def wavy(inverse_depth, px, speed):
    """A prior that is off by up to `px` pixels of flow, smoothly."""
    rows, columns = torch.meshgrid(*(torch.arange(size) for size in inverse_depth.shape), indexing="ij")
    return inverse_depth + px / speed * torch.sin(rows / 7.0) * torch.cos(columns / 9.0)


def speed_of(scene, inverse_depth):
    return pixels_per_inverse_depth(inverse_depth, current=scene[0].view, reference=scene[1].view)


def error_px(scene, inverse_depth, truth):
    return ((inverse_depth - truth) * speed_of(scene, truth)).abs()


def test_pixels_per_inverse_depth_of_a_sideways_step():
    here, there = (
        look_at(0, (0, 0, 0), target=(0, 0, 5), size=SIZE),
        look_at(1, (0.4, 0, 0), target=(0.4, 0, 5), size=SIZE),
    )
    # A sideways baseline b moves a point of inverse depth q by fx b q pixels.
    assert pixels_per_inverse_depth(torch.full((30, 40), 0.2), current=here, reference=there) == pytest.approx(
        0.9 * SIZE[0] * 0.4, rel=1e-3
    )


def test_a_view_that_sees_nothing_moves_nothing():
    here, away = look_at(0, (0, 0, 0), size=SIZE), look_at(1, (0, 0, -1), target=(0, 0, -5), size=SIZE)
    inverse_depth = torch.full((30, 40), 0.2)
    assert pixels_per_inverse_depth(inverse_depth, current=here, reference=away) == 0.0
    black = SeenView(away, torch.zeros(3, SIZE[1], SIZE[0]), None)
    refinement = refine_inverse_depth(inverse_depth, current=here, pixels=black.pixels, references=[black])
    assert torch.equal(refinement.inverse_depth, inverse_depth)


def test_the_step_keeps_the_finest_cells_within_the_tolerance(scene, truth):
    step = choose_step(truth, current=scene[0].view, reference=scene[1].view, tolerance_px=0.5)
    assert step * COARSEST_RESIDUAL_STEP / 2 * speed_of(scene, truth) == pytest.approx(0.5, rel=0.02)
    alone = choose_step(truth, current=scene[0].view, reference=None)
    assert alone > step
    assert alone * COARSEST_RESIDUAL_STEP / 2 < 0.05 * float(truth.median())


def test_the_true_depth_matches_best(scene, truth):
    offsets = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0]) / speed_of(scene, truth)
    cost = matching_cost(
        truth, offsets.tolist(), current=scene[0].view, pixels=scene[0].pixels, references=scene[1:]
    ).mean((1, 2))
    assert cost.argmin() == 2
    assert cost[2] < 0.5 * min(cost[1], cost[3])


@pytest.mark.parametrize("which", [1, 2], ids=["bending lens", "pinhole"])
def test_the_sweep_sees_what_a_warp_shows(scene, truth, which):
    # Where every sample around a cell is visible at both depths, the cost is the mean difference to the warp.
    prior, current, reference = truth, scene[0], scene[which]
    offset = 0.7 / speed_of(scene, truth)
    cost = matching_cost(prior, [offset], current=current.view, pixels=current.pixels, references=[reference])[0]
    size = [SAMPLES_PER_CELL * side for side in truth.shape]
    grey = [luma_levels(state.pixels, height=size[0], width=size[1]) for state in (current, reference)]
    fields = [
        flow_to_reference(
            1 / depth,
            current=current.view,
            reference=reference.view,
            reference_depth=on_coded_grid(reference.depth, view=reference.view) ** -1,
            height=size[0],
            width=size[1],
        )
        for depth in (prior, prior + offset)
    ]
    difference = (read_at(grey[1], fields[1]) - grey[0]).abs()
    around = 3 * SAMPLES_PER_CELL
    mean, least_seen = (
        F.avg_pool2d(values[None], around, SAMPLES_PER_CELL)[0]
        for values in (difference, (fields[0].valid & fields[1].valid).float())
    )
    seen = least_seen == 1
    assert seen.float().mean() > 0.3
    # Clipped where the view's own surroundings leave over less.
    more = (cost[1:-1, 1:-1] - mean)[seen]
    assert (more < 0.1).float().mean() > 0.97
    assert (more.abs() < 0.1).float().mean() > 0.6


def test_the_number_of_threads_changes_nothing(scene, truth):
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(refine(scene, truth))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0].cost, found[1].cost)
    assert torch.equal(found[0].chosen_px, found[1].chosen_px)


def test_content_that_leaves_the_reference_is_no_better_than_none(scene, truth):
    offsets = [0.0, 400 / speed_of(scene, truth)]
    cost = matching_cost(truth, offsets, current=scene[0].view, pixels=scene[0].pixels, references=scene[1:2])
    assert (cost[1] > cost[0]).float().mean() > 0.8


def test_refinement_finds_the_scene_from_a_prior_that_is_pixels_off(scene, truth):
    prior = wavy(truth, 4.0, speed_of(scene, truth))
    before = error_px(scene, prior, truth).median()
    after = error_px(scene, refine(scene, prior).inverse_depth, truth).median()
    assert before > 1.0
    assert after < 0.4 * before


def test_refinement_leaves_a_perfect_prior_nearly_alone(scene, truth):
    assert error_px(scene, refine(scene, truth).inverse_depth, truth).median() < 0.15


def test_refinement_is_repeatable(scene, truth):
    assert torch.equal(refine(scene, truth).inverse_depth, refine(scene, truth).inverse_depth)


def test_aggregation_sums_the_best_paths_of_four_directions():
    generator = torch.Generator().manual_seed(1)
    cost = torch.rand(3, 4, 5, generator=generator, dtype=torch.float64)
    jump = torch.tensor([[0.0, 0.3, 0.5], [0.3, 0.0, 0.2], [0.5, 0.2, 0.0]], dtype=torch.float64)

    @cache
    def path(row, column, candidate, step):
        before_row, before_column = row - step[0], column - step[1]
        own = float(cost[candidate, row, column])
        if not (0 <= before_row < 4 and 0 <= before_column < 5):
            return own
        before = [path(before_row, before_column, other, step) for other in range(3)]
        return own + min(b + float(jump[candidate, other]) for other, b in enumerate(before)) - min(before)

    steps = ((0, 1), (0, -1), (1, 0), (-1, 0))
    expected = [
        [[sum(path(row, column, k, step) for step in steps) - 3 * float(cost[k, row, column]) for column in range(5)]
         for row in range(4)]
        for k in range(3)
    ]  # fmt: skip
    np.testing.assert_allclose(aggregate(cost, jump).numpy(), expected, atol=1e-12)


def test_cost_between_candidates_is_linear(scene, truth):
    refinement = refine(scene, truth)
    offsets, cost = refinement.offsets_px, refinement.cost
    middle = torch.full_like(truth, float(offsets[3] + offsets[4]) / 2)
    np.testing.assert_allclose(refinement.cost_at(middle), (cost[3] + cost[4]) / 2, rtol=1e-4)
    np.testing.assert_allclose(refinement.cost_at(torch.full_like(truth, 99.0)), cost[-1], rtol=1e-4)


def test_details_that_do_not_pay_are_left_out(scene, truth):
    noise = np.random.default_rng(0).normal(0, 1.0, truth.shape).astype(np.float32)
    refinement = refine(scene, truth + torch.from_numpy(noise) / speed_of(scene, truth))
    step = choose_step(refinement.inverse_depth, current=scene[0].view, reference=scene[1].view)
    exact = quantise_depth(refinement.inverse_depth.double().numpy(), step)
    worth = [
        quantise_for_prediction(refinement, step, loss=PictureLoss(refinement, bits_per_grey_level=bits))
        for bits in (0.3, 3.0, 300.0)
    ]
    payloads = [len(encode_depth(coded, TABLES)) for coded in (*worth, exact)]
    assert payloads[0] < 0.6 * payloads[3]
    assert payloads == sorted(payloads)
    lost = [lost_bits(refinement, coded) for coded in worth]
    assert lost == sorted(lost, reverse=True)


def test_where_the_picture_is_flat_only_coarse_depth_is_coded(truth, scene):
    grey = [SeenView(state.view, torch.full_like(state.pixels, 0.5), state.depth) for state in scene]
    rough = truth * torch.from_numpy(np.random.default_rng(1).uniform(0.97, 1.03, truth.shape).astype(np.float32))
    refinement = refine(grey, rough)
    step = choose_step(rough, current=scene[0].view, reference=scene[1].view, tolerance_px=0.2)
    coded = quantise_for_prediction(refinement, step, loss=PictureLoss(refinement))
    exact = quantise_depth(rough.double().numpy(), step)
    assert len(encode_depth(coded, TABLES)) < 0.5 * len(encode_depth(exact, TABLES))
    assert np.median(np.abs(coded.inverse_depth() / rough.numpy() - 1)) < 0.05


def source_of(state, depth):
    pixels = torch.floor(state.pixels * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return SourceView(state.view, pixels, depth.astype(np.float32))


def decoded(state):
    return DecodedView(state.view, state.pixels[None], state.depth)


def prediction_mse(scene, depth):
    current, reference = scene[0], scene[1]
    warped, valid = warp_view(
        reference.pixels, torch.from_numpy(depth), reference.depth, current=current.view, reference=reference.view
    )
    return float(((warped - current.pixels) ** 2)[:, valid[0] > 0].mean())


def test_a_poor_prior_predicts_better_once_coded(scene, truth):
    poor = wavy(truth, 4.0, speed_of(scene, truth))
    source = source_of(scene[0], (1 / poor).numpy())
    coded = depth_for_prediction(source, [decoded(state) for state in scene[1:]], tables=TABLES)
    assert prediction_mse(scene, coded.depth()) < 0.4 * prediction_mse(scene, source.depth)
    grid = coded_grid(SIZE[1], SIZE[0])
    read = decode_depth(encode_depth(coded, TABLES), TABLES, grid=grid)
    np.testing.assert_array_equal(read.levels, coded.levels)


def test_without_references_depth_is_coarse_and_right_to_a_few_percent(scene):
    source = source_of(scene[0], scene[0].depth.numpy())
    coded = depth_for_prediction(source, [], tables=TABLES)
    ratio = coded.inverse_depth() * (1 / on_coded_grid(scene[0].depth, view=scene[0].view).numpy())
    assert np.median(np.abs(ratio - 1)) < 0.04
    predicted = depth_for_prediction(source, [decoded(state) for state in scene[1:]], tables=TABLES)
    assert coded.step >= predicted.step
