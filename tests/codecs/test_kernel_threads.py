"""Pieces of work side by side: in order, no more at a time than there are threads, and torch is left as it was."""

import threading
from functools import partial

import pytest
import torch

from nerfstudio_mvc.kernel_threads import side_by_side


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_and_two_at_a_time(two_threads):
    both = threading.Barrier(2, timeout=20)

    def piece(number):
        both.wait()  # passes only where another piece runs at the same time
        return number, torch.get_num_threads(), torch.is_grad_enabled()

    seen = list(side_by_side([partial(piece, number) for number in range(4)]))
    assert seen == [(number, 1, False) for number in range(4)]
    assert torch.get_num_threads() == 2


def test_no_more_pieces_are_held_than_threads(two_threads):
    begun = []
    results = side_by_side([partial(begun.append, number) for number in range(6)])
    next(results)
    assert len(begun) <= 3
    results.close()


def test_torch_keeps_its_threads_when_a_piece_fails(two_threads):
    with pytest.raises(ZeroDivisionError):
        list(side_by_side([lambda: 1 / 0, lambda: 1]))
    in_new_thread = []
    one = threading.Thread(target=lambda: in_new_thread.append(torch.get_num_threads()))
    one.start()
    one.join()
    assert (torch.get_num_threads(), in_new_thread) == (2, [2])


def test_one_thread_works_in_the_caller():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert set(side_by_side([threading.get_ident] * 3)) == {threading.get_ident()}
    finally:
        torch.set_num_threads(before)
