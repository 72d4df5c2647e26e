"""CompressAI's registry knows our models; skipped where CompressAI is not installed (extra `compressai`)."""

import pytest
import torch

try:
    from compressai.registry import MODELS
except (ImportError, RuntimeError) as error:  # a torchvision made for another torch fails with RuntimeError
    pytest.skip(f"compressai cannot be imported: {error}", allow_module_level=True)

from tiny_paper import tiny_weights

from nerfstudio_mvc import compressai_models


def test_all_presets_are_registered_and_shipped_weights_code():
    assert MODELS["lmvic-paper"].__name__ == "PaperModel"
    assert MODELS["parahydra-paper"].__name__ == "ParaHydraModel"
    net = compressai_models.load_model()
    assert type(net) is MODELS["lmvic-small"]
    x = torch.rand(1, 3, 48, 32)
    coded = net.compress(x, quality=3.0)
    assert net.decompress(coded["strings"], coded["shape"], quality=3.0)["x_hat"].shape == x.shape


def test_paper_weights_load_as_the_paper_model(tmp_path):
    path = tmp_path / "paper.safetensors"
    path.write_bytes(tiny_weights())
    net = compressai_models.load_model(path)
    assert type(net) is MODELS["lmvic-paper"]
    assert net.compress(torch.rand(1, 3, 40, 50))["strings"][0][0]
