"""python -m nerfstudio_mvc.cli.model: what every block of a preset weighs and costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from nerfstudio_mvc.cli.console import print_json
from nerfstudio_mvc.cli.main import run_command

if TYPE_CHECKING:
    from nerfstudio_mvc.codecs.lmvic.complexity import BlockCost


@dataclass(frozen=True)
class Model:
    """Parameters and multiply-accumulates per pixel of every block of a preset, a Markdown table."""

    preset: Literal["small", "restoration", "paper"] = "small"
    """small: the model that ships. restoration: what it runs for pictures that AV1 codes. paper: 3D-GP-LMVIC as
    published, compared with what its layers' shapes say."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Do it."""
        # torch arrives only now: --help has answered already.
        from nerfstudio_mvc.codecs.lmvic.complexity import preset_costs, totals

        blocks = preset_costs(self.preset)
        sums = totals(blocks)
        if self.json:
            print_json({"blocks": [asdict(block) for block in blocks], "total": asdict(sums)})
            return 0
        print("| block | M parameters | kMAC/px | when | published |")
        print("|---|---|---|---|---|")
        for block in blocks:
            cells = (
                block.name,
                f"{block.parameters / 1e6:.3f}",
                f"{block.macs / 1e3:.2f}",
                "both" if block.decodes else "encoder",
                _published(block),
            )
            print("| " + " | ".join(cells) + " |")
        print(f"| **all** | **{sums.parameters / 1e6:.2f}** | | | {_published_total(blocks)} |")
        print(
            f"\nA predicted view takes {sums.encode_macs / 1e3:.1f} kMAC/px to encode, its own decoding included, "
            f"and {sums.decode_macs / 1e3:.1f} to decode."
        )
        return 0


def _published(block: BlockCost) -> str:
    if block.expected is None:
        return ""
    parameters, macs = block.expected
    return f"{parameters / 1e6:.2f}, {macs / 1e3:.1f} ({100 * (block.macs / macs - 1):+.1f} %)"


def _published_total(blocks: list[BlockCost]) -> str:
    expected = [block.expected for block in blocks if block.expected is not None]
    if not expected:
        return ""
    return f"{sum(parameters for parameters, _ in expected) / 1e6:.1f}, {sum(macs for _, macs in expected) / 1e3:.0f}"


def main() -> None:
    """Entry point of `python -m nerfstudio_mvc.cli.model`."""
    run_command(Model, "python -m nerfstudio_mvc.cli.model")


if __name__ == "__main__":
    main()
