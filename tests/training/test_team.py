"""Two processes that train together hold the same weights, and those are what their crops together teach."""

import os
import socket
from pathlib import Path

import torch
import torch.multiprocessing as multiprocessing
from test_loop import make_trainer, weights_of

from nerfstudio_mvc.training.team import Team, team_from_environment

WORKERS, STEPS = 2, 3


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def work(rank: int, folder: Path, port: int) -> None:
    """What one of the processes does; leaves its weights and what it drew in `folder`."""
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(WORKERS), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    team, device = team_from_environment()
    trainer = make_trainer(folder / str(rank))
    trainer.team = team
    if rank:
        with torch.no_grad():
            trainer.model.log_gain.add_(1.0)
    team.share(trainer.model)
    drawn = team.generator(0, 0).integers(1 << 30)
    for _ in range(STEPS):
        trainer.train_step()
    agreed = team.agree(float(rank) + 5.0)
    state = {"weights": weights_of(trainer), "drawn": int(drawn), "agreed": agreed, "device": device}
    torch.save(state, folder / f"{rank}.pt")


def test_two_processes_keep_the_same_weights(tmp_path):
    for rank in range(WORKERS):
        (tmp_path / str(rank)).mkdir()
    multiprocessing.spawn(work, (tmp_path, free_port()), nprocs=WORKERS)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(WORKERS))
    assert torch.equal(first["weights"], second["weights"])
    assert first["drawn"] != second["drawn"]
    assert first["agreed"] == second["agreed"] == 5.0
    alone = make_trainer(tmp_path / "0")
    for _ in range(STEPS):
        alone.train_step()
    # Taught by other crops as well, but not far away: a sum in place of a mean, or no gradient, would show.
    moved = weights_of(alone) - weights_of(make_trainer(tmp_path / "0"))
    together = first["weights"] - weights_of(make_trainer(tmp_path / "0"))
    assert not torch.equal(together, moved)
    assert 0.5 < float(together.norm() / moved.norm()) < 2


def test_averages_are_means_with_missing_gradients_as_zeros(monkeypatch):
    from nerfstudio_mvc.training import team as team_module

    kept, missing = torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(4))
    kept.grad = torch.full((2, 3), 4.0)
    monkeypatch.setattr(team_module.dist, "all_reduce", lambda flat: flat.add_(2.0))
    Team(0, 2).average_gradients([kept, missing])
    assert torch.equal(kept.grad, torch.full((2, 3), 3.0))
    assert torch.equal(missing.grad, torch.ones(4))


def test_a_process_of_its_own_changes_nothing(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    team, device = team_from_environment("cpu")
    parameter = torch.nn.Parameter(torch.ones(2))
    team.average_gradients([parameter])
    assert (team.leads, team.size, device, parameter.grad) == (True, 1, "cpu", None)
    assert team.agree(3.5) == 3.5
    with team.one_after_another():
        pass
