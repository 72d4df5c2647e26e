"""python -m nerfstudio_mvc.cli.model: what every block of a preset weighs and costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from nerfstudio_mvc.cli.console import print_json
from nerfstudio_mvc.cli.main import run_command

if TYPE_CHECKING:
    from nerfstudio_mvc.codecs.block_costs import BlockCost, Totals


@dataclass(frozen=True)
class Model:
    """Parameters and multiply-accumulates per pixel of every block of a preset, a Markdown table."""

    preset: Literal["small", "restoration", "paper", "parahydra-paper"] = "small"
    """small: the model that ships. restoration: what it runs for pictures that AV1 codes. paper: 3D-GP-LMVIC as
    published, compared with what its layers' shapes say. parahydra-paper: ParaHydra as published, a group of two."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Do it."""
        # torch arrives only now: --help has answered already.
        from nerfstudio_mvc.codecs.block_costs import counted, totals
        from nerfstudio_mvc.codecs.lmvic.complexity import preset_costs
        from nerfstudio_mvc.codecs.parahydra.paper.complexity import paper_costs

        blocks = counted(paper_costs if self.preset == "parahydra-paper" else lambda: preset_costs(self.preset))
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
                _when(block),
                _published(block),
            )
            print("| " + " | ".join(cells) + " |")
        print(f"| **all** | **{sums.parameters / 1e6:.2f}** | | | {_published_total(blocks)} |")
        print(f"\n{self._sentence(sums)}")
        return 0

    def _sentence(self, sums: Totals) -> str:
        encode, decode = f"{sums.encode_macs / 1e3:.1f} kMAC/px to encode", f"{sums.decode_macs / 1e3:.1f} to decode"
        if self.preset == "parahydra-paper":
            return f"A view of a group of two takes {encode}, by itself, and {decode}."
        return f"A predicted view takes {encode}, its own decoding included, and {decode}."


def _when(block: BlockCost) -> str:
    if block.encodes and block.decodes:
        return "both"
    return "encoder" if block.encodes else "decoder"


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
