"""Train in short bursts on bare machines that have Python, torch and NumPy, and nothing else.

  here    python tools/burst_train.py pack --pictures RUN/pictures --warped RUN/warped --start RUN/checkpoint.pt
              --total-steps 40000 --output burst
  there   cd burst && python burst_train.py run --minutes 9 --output OUT
  here    python tools/burst_train.py pack ... --start OUT --output burst2     the next burst goes on from there
  here    python tools/burst_train.py unpack --checkpoint OUT --output RUN/checkpoint.pt

RUN is a folder of ns-mvc-train. A pack takes at most 60 MiB; a burst leaves files of at most 15 MiB: its checkpoint
with the optimiser's state, and learning_curve.csv. Two bursts end in the same bits as one of their length on the same
machine.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Deterministic matrix products on CUDA; must be set before torch is loaded.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch

from nerfstudio_mvc.errors import MvcError
from nerfstudio_mvc.training.burst import BurstPlan, load_checkpoint, run_burst


def pack(arguments: argparse.Namespace) -> None:
    """Make the folder that travels."""
    from nerfstudio_mvc.training.burst_packing import pack_burst  # not needed there

    plan = BurstPlan(
        total_steps=arguments.total_steps,
        learning_rate=arguments.learning_rate,
        batch_single=arguments.batch,
        batch_predicted=arguments.batch,
        crop_px=arguments.crop_px,
        bfloat16=not arguments.float32,
        first_step=arguments.first_step,
        boundary_steps=arguments.boundary_steps,
        seed=arguments.seed,
    )
    report = pack_burst(
        arguments.output,
        plan,
        pictures=sorted(arguments.pictures.rglob("*.npy")),
        warped=sorted(arguments.warped.rglob("*.npy")),
        start=arguments.start,
        script=Path(__file__),
        most_bytes=int(arguments.most_mib * (1 << 20)),
        tile_px=arguments.tile_px,
        most_tiles=arguments.most_tiles,
        on_shard=lambda kind, tiles, size: print(f"{kind}: {tiles} tiles, {size / 1e6:.1f} MB in all", flush=True),
    )
    print(
        f"{arguments.output}: from step {report.step}, {report.singles} single tiles, {report.predicted} predicted, "
        f"{report.bytes / (1 << 20):.1f} MiB"
    )


def run(arguments: argparse.Namespace) -> None:
    """Train from a packed folder."""
    torch.set_flush_denormal(True)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    report = run_burst(
        Path(__file__).parent,
        arguments.output,
        minutes=arguments.minutes,
        most_steps=arguments.most_steps,
        checkpoint=arguments.checkpoint,
        device=arguments.device,
        on_progress=lambda line: print(
            f"step {line.step}, {line.elapsed_s:.0f} s: loss {line.loss:.4f}, estimated bpp "
            f"{line.bpp_single:.3f} alone, {line.bpp_predicted:.3f} predicted, {line.psnr_db:.2f} dB",
            flush=True,
        ),
    )
    print(f"steps {report.first_step} to {report.last_step} in {report.elapsed_s:.0f} s: {arguments.output}")


def unpack(arguments: argparse.Namespace) -> None:
    """A burst's checkpoint as the file that ns-mvc-train continues from."""
    torch.save(load_checkpoint(arguments.checkpoint), arguments.output)


def main() -> int:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("pack", help="make the folder that travels")
    packing.add_argument("--pictures", type=Path, required=True, help="folder of decoded photographs, .npy")
    packing.add_argument("--warped", type=Path, required=True, help="folder of views with warped neighbours, .npy")
    packing.add_argument("--start", type=Path, required=True, help="a checkpoint file, or the folder a burst left")
    packing.add_argument("--output", type=Path, required=True, help="the folder to make")
    packing.add_argument("--total-steps", type=int, required=True, help="step at which the learning rate has fallen")
    packing.add_argument("--first-step", type=int, default=0, help="of the run, when --start is a burst's folder")
    packing.add_argument("--learning-rate", type=float, default=4e-4, help="at its peak")
    packing.add_argument("--batch", type=int, default=8, help="crops of either kind in a step")
    packing.add_argument("--crop-px", type=int, default=256, help="side of a crop, a multiple of 64")
    packing.add_argument("--tile-px", type=int, default=320, help="side of the packed tiles, a multiple of 8")
    packing.add_argument("--most-tiles", type=int, help="of either kind; as many as fit otherwise")
    packing.add_argument("--boundary-steps", type=int, default=25, help="a burst ends after a multiple of these")
    packing.add_argument("--most-mib", type=float, default=60.0, help="that the folder may take")
    packing.add_argument("--float32", action="store_true", help="no bfloat16 arithmetic")
    packing.add_argument("--seed", type=int, default=0, help="of tiles and crops; another one draws other tiles")
    packing.set_defaults(do=pack)
    running = commands.add_parser("run", help="train from a packed folder; on the bare machine")
    running.add_argument("--output", type=Path, required=True, help="folder for checkpoint and learning curve")
    running.add_argument("--minutes", type=float, default=9.0, help="how long")
    running.add_argument("--most-steps", type=int, help="stop after these, at the next boundary")
    running.add_argument("--checkpoint", type=Path, help="folder an earlier burst left, instead of the packed one")
    running.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    running.add_argument("--threads", type=int, help="CPU threads")
    running.set_defaults(do=run)
    unpacking = commands.add_parser("unpack", help="a burst's checkpoint as one of ns-mvc-train")
    unpacking.add_argument("--checkpoint", type=Path, required=True, help="folder a burst left")
    unpacking.add_argument("--output", type=Path, required=True, help="the file to write")
    unpacking.set_defaults(do=unpack)
    arguments = parser.parse_args()
    try:
        arguments.do(arguments)
    except MvcError as error:
        print(f"burst_train: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
