"""Fits Gaussians with gsplat where CUDA is there: the fit of `fitting`, drawn by a GPU.

The only place in `splatting` that trains with torch. Depth is not rendered here: gsplat has expected depth only, while
the CPU rasteriser draws the exact median of any Gaussians in a fraction of a second per view.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import redirect_stdout

import numpy as np

from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting.densification import can_be_seen, densification_due, densified, moments_after
from nerfstudio_mvc.splatting.fitting import (
    BETA_1,
    BETA_2,
    EPSILON,
    FittingSettings,
    TrainingView,
    learning_rate,
    turns,
)
from nerfstudio_mvc.splatting.gaussians import Gaussians

SSIM_WEIGHT = 0.2


def is_available() -> bool:
    """Whether gsplat is installed; does not import it."""
    return importlib.util.find_spec("gsplat") is not None


def why_not(device: str) -> str | None:
    """Why gsplat cannot draw on `device`, in a few words; None where it can.

    It tries: gsplat compiles its kernels when they are first used, which takes minutes and an nvcc that fits torch.
    """
    if not is_available():
        return "gsplat is not installed"
    try:
        import torch

        if not torch.cuda.is_available():
            return "there is no CUDA device"
        from gsplat import rasterization

        one = torch.ones(1, device=device)
        pose, intrinsics = torch.eye(4, device=device)[None], torch.eye(3, device=device)[None]
        # It talks about its build on stdout, where a command's answer goes.
        with redirect_stdout(sys.stderr):
            rasterization(
                one.new_tensor([[0.0, 0.0, 2.0]]),
                one.new_tensor([[1.0, 0.0, 0.0, 0.0]]),
                one.expand(1, 3).contiguous(),
                one,
                one.expand(1, 4, 3).contiguous(),
                pose,
                intrinsics,
                16,
                16,
                sh_degree=1,
                packed=False,
            )
    except Exception as error:  # a build that fails shows as ImportError, RuntimeError, AttributeError, OSError, ..
        lines = str(error).splitlines()
        return f"gsplat does not work here ({type(error).__name__}: {lines[0][:120] if lines else ''})"
    return None


def fit_with_gsplat(
    start: Gaussians,
    views: list[TrainingView],
    settings: FittingSettings,
    *,
    near: float,
    device: str,
    seed: int = 0,
    on_iteration: Callable[[int, int], None] | None = None,
) -> Gaussians:
    """As `fitting.fit`, on a GPU; not bit-identical from run to run.

    Raises:
        CaptureError: gsplat or CUDA is not there; that it works is for `why_not` to say.
    """
    try:
        import torch
        from gsplat import rasterization
    except ImportError as error:
        raise CaptureError(f"gsplat cannot be used ({error}); pip install gsplat, or use --device cpu") from None
    if not torch.cuda.is_available():
        raise CaptureError("there is no CUDA device to fit Gaussians on; use --device cpu")

    optimizer = _Optimizer(start, np.random.default_rng(seed), device)
    for iteration, view in zip(range(1, settings.iterations + 1), turns(views, optimizer.rng), strict=False):
        camera, params = view.camera, optimizer.params
        intrinsics = torch.tensor(
            [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], dtype=torch.float32, device=device
        )
        pose = torch.tensor(camera.cam_from_world, dtype=torch.float32, device=device)
        # As in `fitting`: a background that changes cannot be used as a colour.
        background = torch.tensor(optimizer.rng.uniform(0, 1, (1, 3)), dtype=torch.float32, device=device)
        image, _, drawn = rasterization(
            params["means"],
            params["quaternions"],
            params["log_scales"].exp(),
            params["opacity_logits"].sigmoid(),
            params["harmonics"],
            pose[None],
            intrinsics[None],
            camera.width,
            camera.height,
            near_plane=near,
            sh_degree=1,
            packed=False,
            backgrounds=background,
            absgrad=True,
        )
        mask = torch.tensor(view.mask, device=device)[:, :, None]
        target = torch.tensor(view.image, device=device).float() / 255
        _photometric_loss(image[0] * mask, target).backward()
        # In half frames, of one camera.
        pull = drawn["means2d"].absgrad.reshape(-1, 2) * pose.new_tensor([camera.width / 2, camera.height / 2])
        optimizer.step(pull.norm(dim=1), iteration, settings.iterations)
        if densification_due(iteration, settings.iterations):
            optimizer.densify(settings.max_gaussians)
        if on_iteration and (iteration % 10 == 0 or iteration == settings.iterations):
            on_iteration(iteration, settings.iterations)
    fitted = optimizer.gaussians()
    return fitted.only(can_be_seen(fitted))


class _Optimizer:
    """What `fitting` has under this name, on a GPU: Gaussians, Adam's moments, and what densification has to know."""

    def __init__(self, start: Gaussians, rng: np.random.Generator, device: str) -> None:
        import torch

        self.rng = rng
        self._tensor = lambda array: torch.tensor(array, device=device)
        self._set(start, {name: (np.zeros_like(a), np.zeros_like(a)) for name, a in start.arrays().items()})

    def step(self, strength, iteration: int, iterations: int) -> None:
        """One step of Adam on the Gaussians that were visible, given how hard the image pulls at each. [N]"""
        visible = strength > 0
        self._gradient_sum += strength
        self._seen += visible
        for name, param in self.params.items():
            first, second = self._moments[name]
            slope, chosen = param.grad, visible.view(-1, *[1] * (param.dim() - 1))
            first.copy_((BETA_1 * first + (1 - BETA_1) * slope).where(chosen, first))
            second.copy_((BETA_2 * second + (1 - BETA_2) * slope * slope).where(chosen, second))
            rate = learning_rate(name, iteration / iterations)
            mean, square = first / (1 - BETA_1**iteration), second / (1 - BETA_2**iteration)
            param.data -= rate * (mean / (square.sqrt() + EPSILON)).where(chosen, mean.new_zeros(()))
            param.grad = None

    def densify(self, max_gaussians: int) -> None:
        """More Gaussians where the image pulls at them."""
        strength = (self._gradient_sum / self._seen.clamp(min=1)).cpu().numpy()
        gaussians, keep, added = densified(self.gaussians(), strength, max_gaussians=max_gaussians, rng=self.rng)
        old = {name: tuple(m.cpu().numpy() for m in moments) for name, moments in self._moments.items()}
        self._set(gaussians, {name: moments_after(moments, keep, added) for name, moments in old.items()})

    def gaussians(self) -> Gaussians:
        """As they are."""
        return Gaussians(**{name: param.detach().cpu().numpy() for name, param in self.params.items()})

    def _set(self, gaussians: Gaussians, moments: dict[str, tuple[np.ndarray, ...]]) -> None:
        self.params = {name: self._tensor(array).requires_grad_() for name, array in gaussians.arrays().items()}
        self._moments = {name: tuple(self._tensor(m) for m in both) for name, both in moments.items()}
        self._gradient_sum = self._tensor(np.zeros(len(gaussians), np.float32))
        self._seen = self._tensor(np.zeros(len(gaussians), np.float32))


def _photometric_loss(image, target):
    """0.8 L1 + 0.2 D-SSIM of [H, W, 3] images in 0..1; `photometric_loss` says it in NumPy."""
    import torch
    import torch.nn.functional as F

    offsets = torch.arange(-5, 6, device=image.device, dtype=image.dtype)
    taps = torch.exp(-(offsets**2) / (2 * 1.5**2))
    kernel = (taps[:, None] * taps[None, :] / taps.sum() ** 2).expand(3, 1, 11, 11)
    x, y = image.permute(2, 0, 1)[None], target.permute(2, 0, 1)[None]

    def blur(values):
        return F.conv2d(values, kernel, padding=5, groups=3)

    mean_x, mean_y = blur(x), blur(y)
    xx, yy, xy = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2, blur(x * y) - mean_x * mean_y
    ssim = (2 * mean_x * mean_y + 1e-4) * (2 * xy + 9e-4) / ((mean_x**2 + mean_y**2 + 1e-4) * (xx + yy + 9e-4))
    return SSIM_WEIGHT * (1 - ssim.mean()) + (1 - SSIM_WEIGHT) * (x - y).abs().mean()
