"""Whole float32 for as long as any thread codes, and the process's own setting afterwards."""

import threading

import torch

from nerfstudio_mvc.layers.full_precision import in_full_precision

LONG_S = 300  # nobody waits that long: it only ends a test that hangs


def test_a_thread_that_ends_does_not_take_the_setting_from_another():
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

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        threads = [threading.Thread(target=work) for work in (first, second)]
        for thread in threads:
            thread.start()
        threads[0].join(LONG_S)
        first_gone.set()
        threads[1].join(LONG_S)
        assert seen == [False]
        assert torch.backends.cudnn.allow_tf32 is True
    finally:
        torch.backends.cudnn.allow_tf32 = before
