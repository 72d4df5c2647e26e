"""Ablations: variants differ from what ships in one thing, rates compare at equal PSNR, documents keep their text."""

from dataclasses import fields

import pytest

from nerfstudio_mvc.benchmarking.ablation_files import BEGIN, END, change_table, write_ablations
from nerfstudio_mvc.benchmarking.ablations import (
    BASELINE,
    VARIANTS,
    AblationPoint,
    AblationSettings,
    measure_ablations,
    rate_change_percent,
)
from nerfstudio_mvc.codecs.lmvic.switches import OF_LEARNED_PICTURES, LmvicSwitches
from nerfstudio_mvc.errors import CaptureError


def point(variant, quality, bpp, psnr_db, capture="desk"):
    return AblationPoint(capture, variant, quality, 4, 3, bpp, 0.01, psnr_db)


POINTS = [
    point(BASELINE, 3, 0.5, 32.0),
    point(BASELINE, 5, 1.0, 36.0),
    point("separate", 3, 0.55, 32.0),
    point("separate", 5, 1.1, 36.0),
    point("no mask", 3, 0.1, 10.0),
    point("no mask", 5, 0.2, 20.0),
]


def test_variants_move_one_thing_each_and_every_switch_is_moved():
    moved, baseline = set(), VARIANTS[BASELINE].switches
    for name, variant in VARIANTS.items():
        changed = [
            f.name for f in fields(LmvicSwitches) if getattr(variant.switches, f.name) != getattr(baseline, f.name)
        ]
        moved.update(changed)
        assert len(changed) + (variant.order != VARIANTS[BASELINE].order) == (name != BASELINE), name
    assert moved == {field.name for field in fields(LmvicSwitches)} - set(OF_LEARNED_PICTURES)


def test_rates_are_compared_at_equal_psnr():
    assert rate_change_percent(POINTS, "separate") == pytest.approx(10)
    assert rate_change_percent(POINTS, BASELINE) == pytest.approx(0)
    assert rate_change_percent(POINTS, "no mask") is None


def test_table_has_a_column_per_capture():
    header, rows = change_table(
        [*POINTS, point(BASELINE, 3, 0.5, 32.0, "sceaux"), point(BASELINE, 5, 1, 36.0, "sceaux")]
    )
    assert header == ("variant", "desk", "sceaux")
    assert rows == [("separate", "+10.00 %", "-"), ("no mask", "-", "-")]


def test_document_keeps_what_stands_around_the_measured_part(tmp_path):
    path = tmp_path / "ablations.md"
    path.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter\n", encoding="utf-8")
    for _ in range(2):
        write_ablations(path, POINTS, command="python -m something", fingerprint="abc123")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Before\n")
    assert text.endswith("\n\nAfter\n")
    assert "old" not in text
    assert text.count("abc123") == 1
    assert "| separate | +10.00 % |" in text
    write_ablations(tmp_path / "new.md", POINTS, command="c", fingerprint="f")
    assert (tmp_path / "new.md").read_text(encoding="utf-8").count(END) == 1


def test_a_folder_without_a_capture_is_a_capture_error(tmp_path):
    with pytest.raises(CaptureError):
        list(measure_ablations([tmp_path], [BASELINE], AblationSettings(), workers=1))
