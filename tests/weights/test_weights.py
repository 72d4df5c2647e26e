"""Weights files: what is loaded is what was packed, and nothing else passes for one."""

import numpy as np
import pytest
import torch
from tiny_lmvic import tiny_weights

from nerfstudio_mvc.errors import WeightsError
from nerfstudio_mvc.restoration.network import RestorationConfig, RestorationNet
from nerfstudio_mvc.weights import store
from nerfstudio_mvc.weights.checkpoint import fingerprint_of, pack, read, unpack


@pytest.fixture(scope="module")
def content():
    return tiny_weights()


def test_packing_what_was_unpacked_changes_nothing(content):
    checkpoint = unpack(content, source="x")
    again = pack(checkpoint.model, checkpoint.tables)
    assert fingerprint_of(again) == fingerprint_of(content) == checkpoint.fingerprint


def test_what_restores_pictures_comes_back(content):
    checkpoint = unpack(content, source="x")
    assert not checkpoint.beside
    made = RestorationNet(RestorationConfig(widths=(8, 16), blocks=(2, 1)))
    with_it = unpack(pack(checkpoint.model, checkpoint.tables, restoration=made), source="x")
    assert with_it.beside["restoration"].config == made.config
    for name, value in made.state_dict().items():
        assert torch.equal(with_it.beside["restoration"].state_dict()[name], value.half().float())
    again = pack(with_it.model, with_it.tables, **with_it.beside)
    assert fingerprint_of(again) == with_it.fingerprint != checkpoint.fingerprint


def test_integer_layers_come_back_as_the_same_integers(content):
    first = unpack(content, source="x").model.scales
    second = unpack(
        pack(unpack(content, source="x").model, unpack(content, source="x").tables), source="x"
    ).model.scales
    assert torch.equal(first.rows.integer_weight(), second.rows.integer_weight())
    assert torch.equal(first.rows.integer_bias(), second.rows.integer_bias())


def test_layers_beyond_the_exact_range_are_not_exported(content):
    checkpoint = unpack(content, source="x")
    with torch.no_grad():
        checkpoint.model.scales.rows.bias.fill_(20_000)
    with pytest.raises(WeightsError, match="train on with smaller weights"):
        pack(checkpoint.model, checkpoint.tables)


def test_damaged_files_are_weights_errors(content, tmp_path):
    rng = np.random.default_rng(0)
    for cut in (0, 5, 100, len(content) // 2, len(content) - 1):
        with pytest.raises(WeightsError):
            unpack(content[:cut], source="cut")
    for _ in range(10):
        with pytest.raises(WeightsError):
            unpack(rng.bytes(500), source="noise")
    with pytest.raises(WeightsError, match="cannot read"):
        read(tmp_path / "missing.safetensors")


def test_store_finds_the_weights_an_archive_needs(content, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "FOLDER", tmp_path)
    with pytest.raises(WeightsError, match="no weights"):
        store.find_weights("lmvic")
    for number, extra in ((1, b""), (2, b"x"), (10, b"y")):
        (tmp_path / f"lmvic_small_{number}.safetensors").write_bytes(content + extra)
    assert store.find_weights("lmvic").name == "lmvic_small_10.safetensors"
    older = store.find_weights("lmvic", fingerprint=fingerprint_of(content + b"x"))
    assert older.name == "lmvic_small_2.safetensors"
    with pytest.raises(WeightsError, match="--weights"):
        store.find_weights("lmvic", fingerprint="0" * 12)


def test_shipped_weights_load_and_are_exact():
    for path in store.released("lmvic"):
        checkpoint = read(path)
        assert len(checkpoint.tables.latent) == 64
        assert checkpoint.fingerprint == fingerprint_of(path.read_bytes())


def test_pictures_are_coded_as_asked_for_whatever_the_weights_hold(content, tmp_path):
    own = tmp_path / "own.safetensors"
    own.write_bytes(content)
    for weights in (own, None):
        assert store.open_codec("lmvic", weights=weights).pictures == "av1"
        assert store.open_codec("lmvic", weights=weights, pictures="learned").pictures == "learned"
