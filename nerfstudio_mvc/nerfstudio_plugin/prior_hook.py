"""From a splatfacto model in training to Gaussians in the capture it is trained on. Imports nothing of nerfstudio.

What is written is the business of `splatting.left_prior`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.splatting.gaussian_files import splatfacto_gaussians
from nerfstudio_mvc.splatting.left_prior import fingerprint_of_cameras, write_left_prior


def leave_prior(parameters: Mapping[str, Any], pipeline: Any, *, run: Path, step: int) -> str:
    """Write the Gaussians of a pipeline in training into its capture.

    Args:
        parameters: splatfacto's tensors by name.
        pipeline: nerfstudio's; its datamanager knows the capture and how nerfstudio turned and scaled its world.
        run: the training run's folder.
        step: how far it has come.

    Returns:
        What became of it, in a line: training goes on, whatever it was.
    """
    data = Path(pipeline.datamanager.dataparser.config.data)
    folder = data.parent if data.suffix == ".json" else data
    if not folder.is_dir():
        return f"no depth prior is left: {data} is an archive already"
    world = pipeline.datamanager.train_dataparser_outputs
    try:
        gaussians = splatfacto_gaussians(
            {name: parameter.detach().cpu().numpy() for name, parameter in parameters.items()},
            transform=np.array(world.dataparser_transform.cpu(), np.float64)[:3, :4],
            scale=float(world.dataparser_scale),
            source=run,
        )
        made_by = f"ns-train, {run.parent.name} {run.name}, step {step}"
        cameras = fingerprint_of_cameras(load_capture(folder).views)
        written = write_left_prior(folder, gaussians, cameras=cameras, made_by=made_by)
    except MvcError as error:
        return f"no depth prior is left: {error}"
    return f"{len(gaussians)} Gaussians left in {written} for ns-mvc-compress"
