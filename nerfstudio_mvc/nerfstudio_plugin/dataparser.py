"""nerfstudio's dataparser for .mvc files, restored once, and for capture folders; both are parsed as folders are.

Its configuration is that of nerfstudio's own dataparser. The file stays what a run's config.yml names, so that the run
can be evaluated on another machine that has the file; that file also names this module, which must keep its name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Literal, Optional

from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataparserOutputs
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.utils.rich_utils import CONSOLE, get_progress

from nerfstudio_mvc.errors import CaptureError, MvcError

TRANSFORMS_NAME = "transforms.json"


@dataclass
class MvcDataParserConfig(NerfstudioDataParserConfig):
    """A capture in an .mvc file, or in a folder."""

    _target: type = field(default_factory=lambda: MvcDataParser)
    data: Path = Path("capture.mvc")
    """The .mvc file, or a capture folder with a transforms.json."""
    load_3D_points: bool = True  # noqa: N815, nerfstudio's own name
    """Whether to load the 3D points that the archive carries, for 3D Gaussians to start from."""
    mvc_cache: Optional[Path] = None  # noqa: UP045, as nerfstudio writes it
    """Where the file is restored to, once; the user's cache, or what NERFSTUDIO_MVC_CACHE names, when not given."""
    mvc_device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the file is decoded."""
    mvc_weights: Optional[Path] = None  # noqa: UP045
    """Weights to decode with instead of those that ship with nerfstudio_mvc."""


class MvcDataParser(DataParser):
    """Hands the folder, restored where it is an archive, to nerfstudio's own dataparser."""

    config: MvcDataParserConfig

    def _generate_dataparser_outputs(self, split: str = "train", **options) -> DataparserOutputs:
        own = {option.name: getattr(self.config, option.name) for option in fields(NerfstudioDataParserConfig)}
        own |= {"_target": NerfstudioDataParserConfig()._target, "data": self._folder}
        plain = NerfstudioDataParserConfig(**own)
        return plain.setup().get_dataparser_outputs(split, **options)

    @cached_property
    def _folder(self) -> Path:
        """The capture; looked for once, as training asks for every split."""
        data = self.config.data
        try:
            if data.is_dir() or data.suffix == ".json":
                return _checked_folder(data)
            return self._restored(data)
        except MvcError as error:
            # nerfstudio would print its configuration and a traceback around the line.
            raise SystemExit(str(error)) from None

    def _restored(self, archive: Path) -> Path:
        # Only now: every ns-* command imports this module at its start.
        from nerfstudio_mvc.nerfstudio_plugin.cache_bound import BOUND_VARIABLE, folder_bytes
        from nerfstudio_mvc.nerfstudio_plugin.restored_capture import default_cache, restored_capture
        from nerfstudio_mvc.pipeline.progress import Event, Planned, ViewDone, Warned

        config = self.config
        cache = config.mvc_cache or default_cache()
        with get_progress(f"restoring {archive.name}") as progress:
            task = progress.add_task("", total=None, visible=False)

            def on_event(event: Event) -> None:
                match event:
                    case Planned():
                        progress.update(task, total=event.views, visible=True)
                    case ViewDone():
                        progress.advance(task)
                    case Warned():
                        CONSOLE.log(f"Warning: {event.message}", markup=False)

            folder = restored_capture(
                archive, cache, device=config.mvc_device, weights=config.mvc_weights, on_event=on_event
            )
        megabytes = folder_bytes(folder) / 1e6
        CONSOLE.log(f"{archive.name} is restored in {folder}, {megabytes:.1f} MB ({BOUND_VARIABLE})", markup=False)
        return folder


def _checked_folder(data: Path) -> Path:
    """`data` where nerfstudio's own dataparser can read it: a folder with a transforms.json, or that file."""
    if (data / TRANSFORMS_NAME if data.is_dir() else data).is_file():
        return data
    if data.is_dir():
        raise CaptureError(
            f"{data}: holds no {TRANSFORMS_NAME}; name the dataparser of its kind (colmap, blender-data, ...) instead, "
            f"or train from what becomes of it:  ns-mvc-compress --data {data} --output FILE.mvc"
        )
    raise CaptureError(f"{data}: there is no such file; give an .mvc file or a capture folder")
