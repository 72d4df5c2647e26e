"""Fits Gaussians with gsplat where CUDA is there; the same views in and Gaussians out as `fitting`.

The only place in `splatting` that trains with torch. Depth is not rendered here: gsplat has expected depth only, while
the CPU rasteriser draws the exact median of any Gaussians in a fraction of a second per view. Densification is gsplat's
own MCMC strategy (Kheradmand et al. 2024), which needs no thresholds to be tuned.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import redirect_stdout

import numpy as np

from nerfstudio_mvc.errors import CaptureError
from nerfstudio_mvc.splatting.fitting import LEARNING_RATES, FittingSettings, TrainingView
from nerfstudio_mvc.splatting.gaussians import Gaussians

OPACITY_WEIGHT, SCALE_WEIGHT = 0.01, 0.01  # regularisers the MCMC strategy was published with
REFINE_EVERY = 50  # iterations; each time there are 5 % more Gaussians, so that a short fit reaches its limit
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
        from gsplat import MCMCStrategy, rasterization
    except ImportError as error:
        raise CaptureError(f"gsplat cannot be used ({error}); pip install gsplat, or use --device cpu") from None
    if not torch.cuda.is_available():
        raise CaptureError("there is no CUDA device to fit Gaussians on; use --device cpu")

    torch.manual_seed(seed)
    arrays = {
        "means": start.means,
        "scales": start.log_scales,
        "quats": start.quaternions,
        "opacities": start.opacity_logits,
        "sh0": start.harmonics[:, :1],
        "shN": start.harmonics[:, 1:],
    }
    params = torch.nn.ParameterDict(
        {name: torch.nn.Parameter(torch.tensor(a, device=device)) for name, a in arrays.items()}
    )
    names = ("means", "log_scales", "quaternions", "opacity_logits", "harmonics", "harmonics")
    optimizers = {
        key: torch.optim.Adam([{"params": params[key], "lr": LEARNING_RATES[name], "name": key}], eps=1e-15)
        for key, name in zip(arrays, names, strict=True)
    }
    strategy = MCMCStrategy(
        cap_max=settings.max_gaussians,
        refine_start_iter=min(300, settings.iterations // 4),
        refine_stop_iter=int(0.7 * settings.iterations),
        refine_every=REFINE_EVERY,
    )
    strategy.check_sanity(params, optimizers)
    state = strategy.initialize_state()
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizers["means"], gamma=0.01 ** (1 / settings.iterations))
    order = np.random.default_rng(seed).permutation(settings.iterations) % len(views)
    for iteration in range(settings.iterations):
        view = views[int(order[iteration])]
        camera = view.camera
        intrinsics = torch.tensor(
            [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], dtype=torch.float32, device=device
        )
        pose = torch.tensor(camera.cam_from_world, dtype=torch.float32, device=device)
        image, _, info = rasterization(
            params["means"],
            params["quats"],
            params["scales"].exp(),
            params["opacities"].sigmoid(),
            torch.cat([params["sh0"], params["shN"]], dim=1),
            pose[None],
            intrinsics[None],
            camera.width,
            camera.height,
            near_plane=near,
            sh_degree=1,
            packed=False,
            backgrounds=torch.rand(1, 3, device=device),
        )
        mask = torch.tensor(view.mask, device=device)[:, :, None]
        target = torch.tensor(view.image, device=device).float() / 255
        loss = _photometric_loss(image[0] * mask, target)
        loss = (
            loss + OPACITY_WEIGHT * params["opacities"].sigmoid().mean() + SCALE_WEIGHT * params["scales"].exp().mean()
        )
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        strategy.step_post_backward(params, optimizers, state, iteration, info, lr=decay.get_last_lr()[0])
        decay.step()
        if on_iteration and ((iteration + 1) % 10 == 0 or iteration + 1 == settings.iterations):
            on_iteration(iteration + 1, settings.iterations)
    fitted = {name: param.detach().cpu().numpy() for name, param in params.items()}
    harmonics = np.concatenate([fitted["sh0"], fitted["shN"]], axis=1)
    return Gaussians(fitted["means"], fitted["scales"], fitted["quats"], fitted["opacities"], harmonics)


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
