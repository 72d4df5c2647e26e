"""Read single photographs out of an archive without unpacking it.

ns-mvc-compress --data examples/data/nerfstudio --output out/bananas.mvc --force
python examples/3_read_single_views.py out/bananas.mvc
"""

import sys

from PIL import Image

from nerfstudio_mvc import open_archive


def main(archive: str) -> None:
    """List the views, decode two of them, save one."""
    with open_archive(archive) as opened:
        for view in opened.views:
            print(f"{view.name}  {view.width}x{view.height}  {view.camera.model}  centre {view.center.round(2)}")

        first, last = opened.views[0].name, opened.views[-1].name
        pixels = opened.read_view(first)  # uint8 [H, W, 3]; decodes no more of its group than it needs
        print(f"{first}: mean colour {pixels.mean((0, 1)).round(1)}")

        Image.fromarray(opened.read_view(last)).save("out/view.png")
        print(f"{last} is now out/view.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
