"""Parallax attention and its fusion: axioms, exact chunks, a slow reference, what each kind can and cannot find."""

import numpy as np
import pytest
import torch
from tiny_parahydra import let_sides_in

from nerfstudio_mvc.codecs.parahydra.paper import attention
from nerfstudio_mvc.codecs.parahydra.paper.attention import (
    ParallaxAttention,
    attend_columns,
    attend_plane,
    attend_rows,
)
from nerfstudio_mvc.codecs.parahydra.paper.contexts import GlobalContext, LocalContext, anchor_mask
from nerfstudio_mvc.codecs.parahydra.paper.fusion import ParallaxFusion
from nerfstudio_mvc.errors import ShapeError

TEMPERATURE = 30.0


def maps(count=3, channels=8, height=6, width=9, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, channels, height, width, generator=generator) for _ in range(count)]


def row_by_row(query, key, value):
    """Eq. 8 to 11 of one map with loops over rows and positions. [C, H, W] all -> aligned, consistency [H, W]"""
    query, key, value = (x.double().numpy() for x in (query, key, value))
    channels, height, width = query.shape
    aligned, consistency = np.zeros_like(value), np.zeros((height, width))
    for h in range(height):
        lines = []
        for line in (query[:, h], key[:, h]):
            centred = line - line.mean(1, keepdims=True)
            lines.append(centred / np.sqrt((centred**2).sum(0) + 1e-2 * channels))
        scores = TEMPERATURE * lines[0].T @ lines[1]
        there = np.exp(scores - scores.max(1, keepdims=True))
        there /= there.sum(1, keepdims=True)
        back = np.exp(scores.T - scores.T.max(1, keepdims=True))
        back /= back.sum(1, keepdims=True)
        for w in range(width):
            consistency[h, w] = sum(there[w, v] * back[v, w] for v in range(width))
            aligned[:, h, w] = sum(there[w, v] * value[:, h, v] for v in range(width))
    return aligned, consistency


def test_rows_and_columns_equal_the_equations():
    query, key, value = maps()
    rows = attend_rows(query, key, value, TEMPERATURE)
    turned = attend_columns(*(x.transpose(2, 3) for x in (query, key, value)), TEMPERATURE)
    for item in range(2):
        aligned, consistency = row_by_row(query[item], key[item], value[item])
        assert np.allclose(rows.features[item], aligned, atol=1e-4)
        assert np.allclose(rows.consistency[item, 0], consistency, atol=1e-5)
    assert torch.allclose(turned.features.transpose(2, 3), rows.features, atol=1e-5)
    assert torch.allclose(turned.consistency.transpose(2, 3), rows.consistency, atol=1e-5)


@pytest.mark.parametrize("attend", [attend_rows, attend_columns])
def test_chunks_equal_the_whole_forwards_and_backwards(attend):
    inputs = [x.requires_grad_() for x in maps(height=7, width=11)]
    results = []
    for chunk_bytes in (1, 4 * 4 * 11 * 11 * 3, 1 << 30):
        aligned = attend(*inputs, TEMPERATURE, chunk_bytes=chunk_bytes)
        gradients = torch.autograd.grad((aligned.features**2).sum() + aligned.consistency.sum(), inputs)
        results.append([aligned.features, aligned.consistency, *gradients])
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            # The same products in batches of another size: float32 rounds them differently at most in the last bits.
            assert torch.allclose(first, second, rtol=1e-4, atol=1e-5)


def test_scores_of_a_large_map_stay_within_the_chunk(monkeypatch):
    """A row of 512 positions at a time takes 4 MiB of scores and softmaxes; all 96 at once would take 400 MiB."""
    largest = 0
    inner = attention._attend_chunk

    def counted(query, key, value, temperature):
        nonlocal largest
        largest = max(largest, 4 * 4 * len(query) * query.shape[1] ** 2)
        return inner(query, key, value, temperature)

    monkeypatch.setattr(attention, "_attend_chunk", counted)
    query, key, value = maps(channels=4, height=96, width=512, batch=1)
    with torch.no_grad():
        attend_rows(query, key, value, TEMPERATURE, chunk_bytes=9 << 20)
    assert 0 < largest <= 9 << 20


@pytest.mark.parametrize("kind", ["opam", "horizontal", "vertical", "plane"])
def test_identical_views_match_themselves(kind):
    torch.manual_seed(0)
    module = ParallaxAttention(8, kind=kind)
    with torch.no_grad():
        module.log_temperature.fill_(5.0)
        (x,) = maps(1)
        aligned = module(module.query(x), x)
    assert aligned.consistency.median() > 0.95
    assert (aligned.features - x).abs().median() < 0.05


def test_consistency_is_a_probability_and_small_where_nothing_fits():
    torch.manual_seed(0)
    module = ParallaxAttention(8)
    x, other = maps(2, height=16, width=24)
    with torch.no_grad():
        seen = module(module.query(x), x).consistency
        unseen = module(module.query(x), other).consistency
    assert seen.min() > 0
    assert seen.max() <= 1 + 1e-6
    assert unseen.mean() < 0.3 * seen.mean()


def shifted(dy, dx, size=(24, 40)):
    """A map and the same moved by (dy, dx): what is at p in the first is at p + (dy, dx) in the second."""
    (whole,) = maps(1, channels=16, height=size[0] + 16, width=size[1] + 16, batch=1, seed=3)
    main = whole[..., 8 : 8 + size[0], 8 : 8 + size[1]]
    return main, whole[..., 8 - dy : 8 - dy + size[0], 8 - dx : 8 - dx + size[1]]


def share_found(kind, dy, dx):
    """Share of the inner positions whose attended value is the right one, up to a tenth of its norm."""
    torch.manual_seed(0)
    module = ParallaxAttention(16, kind=kind)
    main, side = shifted(dy, dx)
    with torch.no_grad():
        module.log_temperature.fill_(4.0)
        aligned = module(module.query(main), side).features
    error = (aligned - main).square().sum(1).sqrt() / main.square().sum(1).sqrt()
    return float((error[..., 10:-10, 10:-10] < 0.3).float().mean())


def test_what_each_kind_of_attention_finds():
    assert share_found("opam", 0, 5) > 0.9
    assert share_found("horizontal", 0, 5) > 0.9
    assert share_found("vertical", 5, 0) > 0.9
    assert share_found("plane", 3, 5) > 0.9
    assert share_found("horizontal", 5, 0) < 0.1
    # OPAM asks every row with the main map's queries of that row: what is moved both ways it does not find in general.
    assert share_found("opam", 3, 5) < 0.5


def test_attention_over_the_plane_is_for_small_maps():
    with pytest.raises(ShapeError, match="OPAM"):
        attend_plane(*maps(channels=1, height=65, width=64, batch=1), TEMPERATURE)


def test_an_unrelated_side_view_is_suppressed_and_sides_share_by_consistency():
    torch.manual_seed(0)
    fusion = ParallaxFusion(8)
    let_sides_in(fusion)
    x, unrelated = maps(2, height=40, width=48)
    with torch.no_grad():
        both = fusion(x, [unrelated, x + 0.01 * unrelated])
        alone, useless, useful = fusion(x, []), fusion(x, [unrelated]), fusion(x, [x])
    assert torch.allclose(both.weights.sum(1), torch.ones(2, 40, 48), atol=1e-5)
    assert both.weights[:, 1].mean() > 0.7
    # With a single side its share is 1 wherever it fits or not: the consistency itself must hold it back.
    distance = [(one.features - alone.features).square().mean() for one in (useless, useful)]
    assert distance[0] < 0.5 * distance[1]


def test_fusion_takes_sides_of_other_sizes_and_average_takes_them_as_they_are():
    torch.manual_seed(0)
    fusion = ParallaxFusion(8, attention="average")
    (x,) = maps(1)
    (small,) = maps(1, height=4, width=5)
    fused = fusion(x, [small, x])
    assert fused.features.shape == x.shape
    assert torch.allclose(fused.weights, torch.full((2, 2, 6, 9), 0.5))


def test_contexts_of_non_anchors_see_anchors_alone():
    torch.manual_seed(0)
    local, across = LocalContext(8), GlobalContext(8)
    x, y = maps(2, height=9, width=8)
    is_anchor = anchor_mask((9, 8), "cpu")
    assert bool(is_anchor[0, 0, 0, 1])
    assert not bool(is_anchor[0, 0, 0, 0])
    anchors = y * is_anchor
    changed = anchors.clone()
    changed[..., 4, 3] += 1.0
    with torch.no_grad():
        near = (local(changed) - local(anchors)).abs().sum(1, keepdim=True) * ~is_anchor
        far = (across(x, changed) - across(x, anchors)).abs().sum(1, keepdim=True) * ~is_anchor
    assert near[:, :, 2:7, 1:6].sum() > 0
    # A window of five reaches windows whose middle is two away; beyond them nothing changes.
    near[:, :, 2:7, 1:6] = 0
    assert near.sum() == 0
    assert (far > 0).float().mean() > 0.4


def test_a_map_without_anchors_has_contexts():
    (x,) = maps(1, height=1, width=1)
    anchors = torch.zeros_like(x)
    assert torch.isfinite(LocalContext(8)(anchors)).all()
    assert torch.isfinite(GlobalContext(8)(x, anchors)).all()
