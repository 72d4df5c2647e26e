"""The policy for photographs, line by line."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from nerfstudio_mvc.capture.image_files import ImageMetadata, read_image, read_size, write_image
from nerfstudio_mvc.errors import ArchiveError, CaptureError, ShapeError

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SAMPLE_PHOTO = Path(__file__).parents[2] / "examples/data/photos/DSC_0423.JPG"


def smooth(width: int = 24, height: int = 16) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([8 * x, 12 * y, 255 - 4 * x - 4 * y], axis=2).astype(np.uint8)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = orientation, "Müller"
    return tags.tobytes()


def restored(path: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The photograph read and written again under its own name."""
    image = read_image(path)
    target = folder / path.name
    return target, write_image(target, image.pixels, image.metadata)


def png_16_bit(width: int, height: int) -> bytes:
    """RGB, 16 bits per channel, which Pillow cannot write; the value of every channel is 0x12FF."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + b"\x12\xff" * 3 * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tga", ".ppm", ".jp2"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    options = {"irreversible": False} if suffix == ".jp2" else {}
    Image.fromarray(smooth()).save(path, **options)
    assert read_size(path) == (24, 16)
    np.testing.assert_array_equal(read_image(path).pixels, smooth())
    (tmp_path / "out").mkdir()
    target, _ = restored(path, tmp_path / "out")
    np.testing.assert_array_equal(read_image(target).pixels, smooth())
    with Image.open(path) as before, Image.open(target) as after:
        assert before.format == after.format


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
def test_orientation_profile_and_xmp_stay_and_pixels_do_not_turn(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a b{suffix}"
    Image.fromarray(smooth()).save(path, exif=exif(6), icc_profile=PROFILE, xmp=b"<x:xmpmeta/>")
    image = read_image(path)
    assert image.pixels.shape == (16, 24, 3)
    assert np.abs(image.pixels.astype(int) - smooth()).mean() < 6  # turned pixels would differ by about 60
    assert image.warnings == ()
    (tmp_path / "out").mkdir()
    target, warnings = restored(path, tmp_path / "out")
    assert warnings == ()
    with Image.open(path) as before, Image.open(target) as after:
        assert after.info["exif"] == before.info["exif"]
        assert after.info["icc_profile"] == PROFILE
        assert after.info.get("xmp") == before.info.get("xmp")
        assert after.getexif()[0x0112] == 6
        assert after.format == before.format


def test_jpeg_comes_back_nearly_unchanged_and_coded_as_it_was(tmp_path: Path) -> None:
    target, _ = restored(SAMPLE_PHOTO, tmp_path)
    with Image.open(SAMPLE_PHOTO) as before, Image.open(target) as after:
        assert after.info["exif"] == before.info["exif"]
        assert after.info["dpi"] == before.info["dpi"]
        assert (after.layer, after.quantization) == (before.layer, before.quantization)
        error = np.asarray(before).astype(float) - np.asarray(after)
    assert 10 * np.log10(255**2 / (error**2).mean()) > 42


def test_jpeg_comment_is_kept(tmp_path: Path) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", comment=b"f\xfcr dich")
    (tmp_path / "out").mkdir()
    target, _ = restored(tmp_path / "a.jpg", tmp_path / "out")
    with Image.open(target) as after:
        assert after.info["comment"] == b"f\xfcr dich"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".jp2", ".gif"])
def test_pictures_beyond_pillows_limit_are_read_as_what_they_are(tmp_path: Path, monkeypatch, suffix: str) -> None:
    Image.fromarray(smooth()).save(tmp_path / f"a{suffix}")
    expected = read_image(tmp_path / f"a{suffix}").pixels
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9)  # Pillow warns above, and refuses above twice as many
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        assert read_size(tmp_path / f"a{suffix}") == (24, 16)
        np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}").pixels, expected)
        target, _ = restored(tmp_path / f"a{suffix}", tmp_path / "out")
        assert read_size(target) == (24, 16)
    assert Image.MAX_IMAGE_PIXELS == 9
    with pytest.raises(Image.DecompressionBombError):
        Image.open(target)


def test_an_alpha_plane_beyond_pillows_limit_comes_back(tmp_path: Path, monkeypatch) -> None:
    source = Image.fromarray(smooth()).convert("RGBA")
    source.putalpha(Image.fromarray(smooth()[:, :, 1]))
    source.save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(Image, "MAX_IMAGE_PIXELS", 9)
        target, _ = restored(tmp_path / "a.png", tmp_path / "out")
    with Image.open(target) as after:
        np.testing.assert_array_equal(np.asarray(after), np.asarray(source))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_grey_is_coded_as_rgb_and_written_as_grey(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(smooth()[:, :, 0]).save(tmp_path / f"a{suffix}")
    image = read_image(tmp_path / f"a{suffix}")
    assert image.metadata.mode == "L"
    assert (image.pixels[:, :, :1] == image.pixels).all()
    (tmp_path / "out").mkdir()
    target, _ = restored(tmp_path / f"a{suffix}", tmp_path / "out")
    with Image.open(target) as after:
        assert after.mode == "L"


@pytest.mark.parametrize(("suffix", "mode"), [(".png", "RGBA"), (".webp", "RGBA"), (".png", "LA")])
def test_alpha_is_kept_exactly(tmp_path: Path, suffix: str, mode: str) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, (16, 24), np.uint8)
    source = Image.fromarray(smooth()).convert(mode)
    source.putalpha(Image.fromarray(alpha))
    source.save(tmp_path / f"a{suffix}", lossless=True)
    image = read_image(tmp_path / f"a{suffix}")
    assert image.warnings == ()
    assert image.metadata.mode == mode
    (tmp_path / "out").mkdir()
    target, warnings = restored(tmp_path / f"a{suffix}", tmp_path / "out")
    assert warnings == ()
    with Image.open(target) as after:
        assert after.mode == mode
        np.testing.assert_array_equal(np.asarray(after.getchannel("A")), alpha)
    warnings = write_image(tmp_path / "a.jpg", image.pixels, image.metadata)
    assert warnings == ("a.jpg: JPEG has no alpha plane; it is left out",)


def test_opaque_alpha_costs_nothing_and_comes_back(tmp_path: Path) -> None:
    Image.fromarray(smooth()).convert("RGBA").save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").metadata.alpha == b""
    (tmp_path / "out").mkdir()
    target, _ = restored(tmp_path / "a.png", tmp_path / "out")
    with Image.open(target) as after:
        assert after.mode == "RGBA"
        assert after.getchannel("A").getextrema() == (255, 255)


def test_16_bits_become_8_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "colour.png").write_bytes(png_16_bit(5, 4))
    Image.fromarray(np.full((4, 5), 0x12FF, np.uint16)).save(tmp_path / "grey.png")
    for name, mode in (("colour.png", "RGB"), ("grey.png", "L")):
        image = read_image(tmp_path / name)
        assert image.metadata.mode == mode
        assert (image.pixels == 0x12).all()
        assert len(image.warnings) == 1
        assert image.warnings[0].startswith(f"{name}: 16 bits")


def test_palette_cmyk_and_second_pictures_are_named(tmp_path: Path) -> None:
    picture = Image.fromarray(smooth())
    picture.quantize(16).save(tmp_path / "palette.png")
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg", icc_profile=PROFILE)
    picture.save(tmp_path / "two.webp", save_all=True, append_images=[Image.fromarray(smooth()[::-1])])
    assert "palette" in read_image(tmp_path / "palette.png").warnings[0]
    cmyk = read_image(tmp_path / "cmyk.jpg")
    assert "CMYK" in cmyk.warnings[0]
    assert cmyk.metadata.icc_profile == b""  # a CMYK profile on RGB pixels would colour them wrongly
    two = read_image(tmp_path / "two.webp")
    assert "several pictures" in two.warnings[0]
    assert np.abs(two.pixels.astype(int) - smooth()).mean() < 10


def test_gif_keeps_its_name_with_png_content(tmp_path: Path) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.gif")
    assert any("PNG content" in warning for warning in read_image(tmp_path / "a.gif").warnings)
    (tmp_path / "out").mkdir()
    target, _ = restored(tmp_path / "a.gif", tmp_path / "out")
    with Image.open(target) as after:
        assert (target.name, after.format) == ("a.gif", "PNG")


def test_a_wrong_ending_does_not_change_the_format(tmp_path: Path) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", format="PNG")
    (tmp_path / "out").mkdir()
    target, _ = restored(tmp_path / "a.jpg", tmp_path / "out")
    np.testing.assert_array_equal(read_image(target).pixels, smooth())


def test_another_ending_means_another_format(tmp_path: Path) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=exif(3))
    image = read_image(tmp_path / "a.jpg")
    write_image(tmp_path / "b.png", image.pixels, image.metadata)
    np.testing.assert_array_equal(read_image(tmp_path / "b.png").pixels, image.pixels)
    with Image.open(tmp_path / "b.png") as after:
        assert after.getexif()[0x0112] == 3


def test_exif_too_long_for_a_jpeg_is_named(tmp_path: Path) -> None:
    metadata = ImageMetadata("RGB", "PNG", ".png", 24, 16, exif=b"Exif\0\0" + bytes(70000))
    warnings = write_image(tmp_path / "a.jpg", smooth(), metadata)
    assert warnings == ("a.jpg: its EXIF data does not fit into a JPEG and is left out",)


def test_a_photograph_cut_anywhere_is_refused(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".webp"):
        whole = io.BytesIO()
        noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(whole, format={".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[suffix])
        data = whole.getvalue()
        path = tmp_path / f"cut{suffix}"
        for length in np.linspace(0, len(data) - 40, 25).astype(int):
            path.write_bytes(data[:length])
            with pytest.raises(CaptureError, match=rf"cut\{suffix}: unreadable image .*remove it"):
                read_image(path)


def test_what_is_no_photograph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a photograph")
    with pytest.raises(CaptureError, match=r"notes.jpg: unreadable image \(not an image Pillow can read\)"):
        read_size(tmp_path / "notes.jpg")
    with pytest.raises(CaptureError, match="there is no such file"):
        read_image(tmp_path / "missing.jpg")
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(CaptureError, match="32-bit pixels"):
        read_image(tmp_path / "float.tif")


def test_write_checks_its_input(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="uint8"):
        write_image(tmp_path / "a.png", smooth().astype(float))
    metadata = ImageMetadata("RGBA", "PNG", ".png", 24, 16, alpha=b"damaged")
    with pytest.raises(ArchiveError, match="alpha plane"):
        write_image(tmp_path / "a.png", smooth(), metadata)
    assert not (tmp_path / "a.png").exists()


def test_metadata_refuses_nonsense_from_a_file() -> None:
    good = ImageMetadata("RGB", "PNG", ".png", 24, 16)
    assert ImageMetadata(**asdict(good)) == good
    for change in ({"mode": "XYZ"}, {"width": 0}, {"exif": "text"}, {"suffix": 3}, {"dpi": (1.0,)}, {"alpha": 7}):
        with pytest.raises(ValueError, match="image"):
            replace(good, **change)


def test_png_texts_are_said_to_be_lost(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "made on a rainy day")
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=texts)
    assert "Comment" in read_image(tmp_path / "a.png").warnings[0]
