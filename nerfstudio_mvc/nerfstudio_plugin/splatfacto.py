"""The method mvc-splatfacto: splatfacto as a depth prior, which leaves its Gaussians where it found the photographs.

Cameras stay as they are given, so that the Gaussians fit those that an archive stores. What is left, and in which form,
is the business of `prior_hook`; settings are `method_entry`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.models import splatfacto
from nerfstudio.models.splatfacto import SplatfactoModel, SplatfactoModelConfig
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

NO_CUDA = (
    "mvc-splatfacto needs a CUDA device, as splatfacto does: without one, ns-mvc-depth fits Gaussians on the CPU, and "
    "ns-mvc-compress does so by itself"
)
DEPTH_STEPS = 32
"""Depths at which it is asked how much of a pixel lies nearer; what lies between two is interpolated."""
NEAR, FAR = 0.01, 1e10  # splatfacto's


@dataclass
class MvcSplatfactoModelConfig(SplatfactoModelConfig):
    """Splatfacto whose Gaussians stay in the capture."""

    _target: type = field(default_factory=lambda: MvcSplatfactoModel)
    leave_prior: bool = True
    """Whether to leave the Gaussians in the capture folder, for ns-mvc-compress to take depth from."""
    median_depth: bool = True
    """Whether the viewer also shows the depth at which a ray has passed half of what is there, as compression uses."""


class MvcSplatfactoModel(SplatfactoModel):
    """Splatfacto with a hook at every save and at the end, and median depth."""

    config: MvcSplatfactoModelConfig

    def get_training_callbacks(self, attributes: TrainingCallbackAttributes) -> list[TrainingCallback]:
        """Splatfacto's, and the one that leaves the Gaussians."""
        callbacks = super().get_training_callbacks(attributes)
        trainer = attributes.trainer
        if not self.config.leave_prior or trainer is None or trainer.local_rank != 0:
            return callbacks
        at_every_save = TrainingCallback(
            [TrainingCallbackLocation.AFTER_TRAIN_ITERATION],
            self._leave_prior,
            update_every_num_iters=trainer.config.steps_per_save,
            args=[attributes.pipeline, trainer],
        )
        at_the_end = TrainingCallback(
            [TrainingCallbackLocation.AFTER_TRAIN], self._leave_prior, args=[attributes.pipeline, trainer]
        )
        return [*callbacks, at_every_save, at_the_end]

    def _leave_prior(self, pipeline: VanillaPipeline, trainer, step: int) -> None:
        if step == 0:
            return
        # Only now: every ns-* command imports this module at its start.
        from nerfstudio_mvc.nerfstudio_plugin.prior_hook import leave_prior

        CONSOLE.log(leave_prior(self.gauss_params, pipeline, run=trainer.base_dir, step=step), markup=False)

    def get_outputs(self, camera: Cameras) -> dict[str, Tensor | list]:
        """Splatfacto's, and `median_depth` [H, W, 1] where it is not training."""
        outputs = super().get_outputs(camera)
        if self.config.median_depth and not self.training and self.crop_box is None and outputs.get("rgb") is not None:
            outputs["median_depth"] = self._median_depth(camera)
        return outputs

    def _median_depth(self, camera: Cameras) -> Tensor:
        viewmat = splatfacto.get_viewmat(camera.camera_to_worlds)
        depth = self.means @ viewmat[0, 2, :3] + viewmat[0, 2, 3]
        seen = depth[depth > NEAR]
        height, width = int(camera.height.item()), int(camera.width.item())
        if len(seen) == 0:
            return torch.zeros(height, width, 1, device=depth.device)
        shares = torch.linspace(0, len(seen) - 1, DEPTH_STEPS, device=depth.device).long()
        steps = seen.sort().values[shares]
        passed, _, _ = splatfacto.rasterization(
            means=self.means,
            quats=self.quats,
            scales=torch.exp(self.scales),
            opacities=torch.sigmoid(self.opacities).squeeze(-1),
            colors=(depth[:, None] <= steps).float(),
            viewmats=viewmat,
            Ks=camera.get_intrinsics_matrices().to(depth.device),
            width=width,
            height=height,
            packed=False,
            near_plane=NEAR,
            far_plane=FAR,
            render_mode="RGB",
            sh_degree=None,
        )
        return depth_at_half(passed[0], steps)


def depth_at_half(passed: Tensor, steps: Tensor) -> Tensor:
    """The depth at which a ray has passed half of what there could be.

    Args:
        passed: share of each pixel that lies no farther than each of `steps`. [H, W, K]
        steps: rising z-depths. [K]

    Returns:
        interpolated; the last step where half is never reached. [H, W, 1]
    """
    after = (passed < 0.5).sum(-1, keepdim=True).clamp(max=len(steps) - 1)
    before = (after - 1).clamp(min=0)
    share_after, share_before = passed.gather(-1, after), passed.gather(-1, before)
    part = ((0.5 - share_before) / (share_after - share_before).clamp(min=1e-6)).clamp(0, 1)
    return torch.where(after > 0, torch.lerp(steps[before], steps[after], part), steps[after])


@dataclass
class MvcSplatfactoPipelineConfig(VanillaPipelineConfig):
    """nerfstudio's pipeline, for machines with CUDA."""

    _target: type = field(default_factory=lambda: MvcSplatfactoPipeline)


class MvcSplatfactoPipeline(VanillaPipeline):
    """Says that there is no CUDA before photographs are read, rather than after."""

    def __init__(self, config: MvcSplatfactoPipelineConfig, device: str, *args, **kwargs) -> None:
        if torch.device(device).type != "cuda" or not torch.cuda.is_available():
            raise SystemExit(NO_CUDA)
        super().__init__(config, device, *args, **kwargs)
