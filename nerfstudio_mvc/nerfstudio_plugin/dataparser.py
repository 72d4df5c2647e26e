"""nerfstudio's dataparser for .mvc files: restored once, then parsed as any capture folder is.

Its configuration is that of nerfstudio's own dataparser. The file stays what a run's config.yml names, so that the run
can be evaluated on another machine that has the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Literal, Optional

from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataparserOutputs
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.utils.rich_utils import get_progress

from nerfstudio_mvc.nerfstudio_plugin.restored_capture import default_cache, restored_capture
from nerfstudio_mvc.pipeline.progress import Event, Planned, ViewDone


@dataclass
class MvcDataParserConfig(NerfstudioDataParserConfig):
    """A capture in an .mvc file."""

    _target: type = field(default_factory=lambda: MvcDataParser)
    data: Path = Path("capture.mvc")
    """The .mvc file."""
    load_3D_points: bool = True  # noqa: N815, nerfstudio's own name
    """Whether to load the 3D points that the archive carries, for 3D Gaussians to start from."""
    mvc_cache: Optional[Path] = None  # noqa: UP045, as nerfstudio writes it
    """Where the file is restored to, once; the user's cache, or what NERFSTUDIO_MVC_CACHE names, when not given."""
    mvc_device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the file is decoded."""
    mvc_weights: Optional[Path] = None  # noqa: UP045
    """Weights to decode with instead of those that ship with nerfstudio_mvc."""


class MvcDataParser(DataParser):
    """Hands the restored folder to nerfstudio's own dataparser."""

    config: MvcDataParserConfig

    def _generate_dataparser_outputs(self, split: str = "train", **options) -> DataparserOutputs:
        own = {option.name: getattr(self.config, option.name) for option in fields(NerfstudioDataParserConfig)}
        own |= {"_target": NerfstudioDataParserConfig()._target, "data": self._folder}
        plain = NerfstudioDataParserConfig(**own)
        return plain.setup().get_dataparser_outputs(split, **options)

    @cached_property
    def _folder(self) -> Path:
        """The restored capture; looked for once, as training asks for every split."""
        config = self.config
        with get_progress(f"restoring {config.data.name}") as progress:
            task = progress.add_task("", total=None, visible=False)

            def on_event(event: Event) -> None:
                match event:
                    case Planned():
                        progress.update(task, total=event.views, visible=True)
                    case ViewDone():
                        progress.advance(task)

            return restored_capture(
                config.data,
                config.mvc_cache or default_cache(),
                device=config.mvc_device,
                weights=config.mvc_weights,
                on_event=on_event,
            )
