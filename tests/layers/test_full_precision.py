"""TF32 is off while a decorated function runs, and what it was afterwards, errors or not."""

import pytest
import torch

from nerfstudio_mvc.layers.full_precision import in_full_precision


@pytest.mark.parametrize("before", [True, False])
def test_off_inside_and_as_before_outside(before, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)

    @in_full_precision
    def inside(fails: bool) -> bool:
        if fails:
            raise ValueError("as asked")
        return torch.backends.cudnn.allow_tf32

    assert inside(False) is False
    with pytest.raises(ValueError, match="as asked"):
        inside(True)
    assert torch.backends.cudnn.allow_tf32 is before
