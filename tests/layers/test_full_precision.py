"""TF32 is off while any thread runs a decorated function, and what it was afterwards, errors or not."""

import threading

import pytest
import torch

from nerfstudio_mvc.layers.full_precision import in_full_precision

LONG_S = 300  # nobody waits that long: it only ends a test that hangs


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


def test_a_thread_that_ends_does_not_take_the_setting_from_another(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    inside, first_gone = threading.Event(), threading.Event()
    seen = []

    @in_full_precision
    def first():
        assert inside.wait(LONG_S)

    @in_full_precision
    def second():
        inside.set()
        assert first_gone.wait(LONG_S)
        seen.append(torch.backends.cudnn.allow_tf32)

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    threads[0].join(LONG_S)
    first_gone.set()
    threads[1].join(LONG_S)
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32 is True
