"""Processes that train one model together, as `torchrun` starts them: each draws its own crops, gradients are averaged.

    torchrun --nproc-per-node N -m nerfstudio_mvc.cli.train ...

The first process prepares the data, keeps the clock, writes checkpoints and the learning curve. A process that was not
started by `torchrun` is a team of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn


class Team:
    """This process's place in the team; the process group is torch's, one per process."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.rank == 0

    def generator(self, seed: int, step: int) -> np.random.Generator:
        """What this process draws a step's crops with: the same whenever the step is taken, another in each process."""
        return np.random.default_rng((seed, step) if self.leads else (seed, step, self.rank))

    def share(self, model: nn.Module) -> None:
        """Give every process the weights of the first one."""
        if self.size > 1:
            for value in model.state_dict().values():
                shared = value.contiguous()
                dist.broadcast(shared, 0)
                value.copy_(shared)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their means over the team; one that a process does not have counts as zero."""
        if self.size == 1:
            return
        gradients = [_gradient(parameter) for parameter in parameters if parameter.requires_grad]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(gradients, flat.split([part.numel() for part in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def agree(self, value: float, *, device: torch.device | str = "cpu") -> float:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=device)
        dist.broadcast(shared, 0)
        return float(shared)

    @contextmanager
    def one_after_another(self) -> Iterator[None]:
        """The first process goes through the body alone, the others afterwards: what it left on disk they find."""
        if self.size > 1 and not self.leads:
            dist.barrier()
        yield
        if self.size > 1 and self.leads:
            dist.barrier()


def team_from_environment(device: str = "cpu") -> tuple[Team, str]:
    """The team that `torchrun` made this process part of, and the device of this process: one GPU for each."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team(), device
    rank = int(os.environ["RANK"])
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("gloo" if device == "cpu" else "nccl", rank=rank, world_size=size)
    return Team(rank, size), device


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
