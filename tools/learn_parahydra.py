"""Does ParaHydra as published learn to decode together? A narrow one, trained on a few captures for an hour.

    python tools/learn_parahydra.py --captures CAPTURE .. --output-dir out/learn --minutes-alone 30 --minutes-joint 50

Views are halved; crops of three neighbours show the same part of the scene. First all is trained on single views,
then the joint decoder alone, on the bits that there are then, a quarter of the steps without side views; from --single
it begins with that. Attention finds matches before it is trained and is trained slowly. A line of learning_curve.csv
is the mean of the same groups of the training scenes, each decoded together and apart.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from nerfstudio_mvc.capture.image_files import read_image
from nerfstudio_mvc.capture.open_capture import load_capture
from nerfstudio_mvc.capture.view_order import coding_order
from nerfstudio_mvc.codecs.parahydra.matching import Pyramid, coarse_match, fine_match, pyramid, quarter_planes
from nerfstudio_mvc.codecs.parahydra.paper.config import ParaHydraConfig
from nerfstudio_mvc.codecs.parahydra.paper.model import ParaHydraModel
from nerfstudio_mvc.entropy.latent_coding import quality_level
from nerfstudio_mvc.training.parahydra_run import ALONE_SHARE

NARROW = ParaHydraConfig(
    width=32, latent=48, slices=2, head_widths=(96, 64, 48), scale_width=32, scale_hidden=64, most_sides=2
)
VIEWS = 3
GROUPS = 768
"""Different ones that the joint decoder is trained on; their latents are computed once."""
ATTENTION_RATE = 0.1
"""Learning rate of queries and keys over that of all others."""
COLUMNS = ("step", "elapsed_s", "estimated_bpp", "joint_db", "separate_db")


@dataclass(frozen=True)
class Scene:
    """Halved views in coding order, and where each shows what the next one shows: (y, x) by cells of 4 pixels."""

    views: list[np.ndarray]
    to_next: list[np.ndarray]

    def group(self, crop_px: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Crops of three neighbours around the same thing."""
        first = int(rng.integers(len(self.views) - VIEWS + 1))
        top, left = (int(rng.integers(side - crop_px + 1)) for side in self.views[first].shape[:2])
        crops = []
        for view in range(first, first + VIEWS):
            pixels = self.views[view]
            crops.append(pixels[top : top + crop_px, left : left + crop_px])
            if view < len(self.to_next):
                cells = tuple(slice(corner // 4, (corner + crop_px) // 4) for corner in (top, left))
                moved = np.rint(np.median(self.to_next[view][cells], axis=(0, 1)) / 4).astype(int)
                top, left = np.clip((top + moved[0], left + moved[1]), 0, np.array(pixels.shape[:2]) - crop_px)
        return crops


def scene_of(root: Path) -> Scene:
    """The capture in a folder."""
    capture = load_capture(root)
    views = []
    for idx in coding_order(capture.views):
        picture = Image.fromarray(read_image(capture.views[idx].image_path).pixels)
        views.append(np.array(picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)))
    pyramids = [pyramid(pixels) for pixels in views]
    return Scene(views, [_field(*pair) for pair in pairwise(pyramids)])


def _field(main: Pyramid, side: Pyramid) -> np.ndarray:
    return fine_match(main, side, coarse_match(main, side), quarter_planes(side.levels[0]))


def groups_of(scenes: list[Scene], count: int, crop_px: int, rng: np.random.Generator) -> list[Tensor]:
    """`count` groups as a list of views. VIEWS of [count, 3, S, S], 0..1"""
    groups = [scenes[int(rng.integers(len(scenes)))].group(crop_px, rng) for _ in range(count)]
    return list(torch.from_numpy(np.array(groups)).permute(1, 0, 4, 2, 3).contiguous().float() / 255)


@dataclass
class Run:
    """Model, scenes and the curve so far."""

    model: ParaHydraModel
    scenes: list[Scene]
    level: Tensor
    rd_lambda: float
    crop_px: int
    batch: int
    curve: Path
    step: int = 0

    def __post_init__(self) -> None:
        self.start_s = time.monotonic()
        self.held = groups_of(self.scenes, 16, self.crop_px, np.random.default_rng(1))
        self.coded: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        with self.curve.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerow(COLUMNS)

    def train(self, part: nn.Module, minutes: float, rates: tuple[float, float], *, joint: bool) -> None:
        """Steps of a part of the model for so long, the learning rate falling between `rates` along half a wave."""
        named, shares = list(part.named_parameters()), []
        for share, slow in ((1.0, False), (ATTENTION_RATE, True)):
            chosen = [parameter for name, parameter in named if (".attention." in name) == slow]
            shares.append({"params": chosen, "share": share})
        parameters = [parameter for _, parameter in named]
        optimizer = torch.optim.Adam(shares, lr=rates[0])
        begun, told, first = time.monotonic(), 0.0, self.step
        while (done := (time.monotonic() - begun) / (60 * minutes)) < 1:
            wave = (1 + math.cos(math.pi * done)) / 2 * min(1, (self.step - first + 1) / 20)
            for chosen in optimizer.param_groups:
                chosen["lr"] = chosen["share"] * (rates[1] + (rates[0] - rates[1]) * wave)
            rng = np.random.default_rng(self.step)
            if joint:
                loss = self.joint_loss(int(rng.integers(GROUPS // self.batch)), alone=rng.random() < ALONE_SHARE)
            else:
                loss = self.alone_loss(groups_of(self.scenes, self.batch, self.crop_px, rng))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if torch.isfinite(torch.nn.utils.clip_grad_norm_(parameters, 1.0)):
                optimizer.step()
            self.step += 1
            if time.monotonic() - told > 240:
                self.measure()
                told = time.monotonic()
        self.measure()

    def alone_loss(self, views: list[Tensor]) -> Tensor:
        """The paper's loss without side views."""
        x = torch.cat(views)
        result = self.model([x], quality=self.level, sides_of=[[]])
        bits = -sum(part[0].log2().sum() for part in result["likelihoods"].values())
        error = (result["x_hat"][0] - x).square().mean()
        return self.rd_lambda * error + bits / (len(x) * x.shape[2] * x.shape[3])

    def joint_loss(self, number: int, *, alone: bool) -> Tensor:
        """What the decoder makes of the bits of views, which stay as they are."""
        if number not in self.coded:
            views = groups_of(self.scenes, self.batch, self.crop_px, np.random.default_rng((2, number)))
            with torch.no_grad():
                self.coded[number] = views, [one.y_hat for one in self.model.quantised(views, self.level)]
        views, latents = self.coded[number]
        shown = self.shown(dict(enumerate(latents)), alone=alone)
        return self.rd_lambda * sum((shown[idx] - x).square().mean() for idx, x in enumerate(views)) / VIEWS

    def shown(self, latents: dict[int, Tensor], *, alone: bool) -> dict[int, Tensor]:
        sizes = dict.fromkeys(latents, (self.crop_px, self.crop_px))
        sides = [[] for _ in latents] if alone else self.model.sides(len(latents))
        return self.model.shown(latents, sizes, self.level, sides_of=sides)

    @torch.no_grad()
    def measure(self) -> None:
        """A line of the curve: real symbols, 8-bit pictures."""
        self.model.eval()
        coded = self.model.quantised(self.held, self.level)
        bits = sum(float(one.bits_y.sum() + one.bits_z.sum()) for one in coded)
        decibels = []
        for alone in (False, True):
            shown = self.shown({idx: one.y_hat for idx, one in enumerate(coded)}, alone=alone)
            errors = torch.stack([(shown[idx] - x).square().mean((1, 2, 3)) for idx, x in enumerate(self.held)])
            decibels.append(float((-10 * errors.log10()).mean()))
        self.model.train()
        bpp = bits / sum(x[:, 0].numel() for x in self.held)
        line = (self.step, round(time.monotonic() - self.start_s), f"{bpp:.4f}", *(f"{db:.3f}" for db in decibels))
        with self.curve.open("a", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerow(line)
        print(*line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captures", nargs="+", type=Path, required=True)
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--single", type=Path, help="alone.pt of a run before; training begins with the second half")
    parser.add_argument("--minutes-alone", type=float, default=30)
    parser.add_argument("--minutes-joint", type=float, default=50)
    parser.add_argument("--quality", type=float, default=3.0)
    parser.add_argument("--crop-px", type=int, default=96)
    parser.add_argument("--batch", type=int, default=2)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    model = ParaHydraModel(NARROW).train()
    scenes = [scene_of(root) for root in arguments.captures]
    level = quality_level(arguments.quality, "cpu")
    rd_lambda = NARROW.rd_lambdas[0] * 2 ** (arguments.quality - 1)
    curve = arguments.output_dir / "learning_curve.csv"
    run = Run(model, scenes, level, rd_lambda, arguments.crop_px, arguments.batch, curve)
    if arguments.single is not None:
        model.load_state_dict(torch.load(arguments.single, weights_only=True))
    else:
        run.train(model, arguments.minutes_alone, (1.5e-3, 3e-4), joint=False)
        torch.save(model.state_dict(), arguments.output_dir / "alone.pt")
    run.train(model.decoder, arguments.minutes_joint, (5e-4, 3e-5), joint=True)
    torch.save(model.state_dict(), arguments.output_dir / "joint.pt")


if __name__ == "__main__":
    main()
