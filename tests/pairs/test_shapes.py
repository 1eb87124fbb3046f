"""Strips and grids: which panel an image is, and which shapes no resize should make equal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhpt_eval.errors import InputError
from fhpt_eval.images.files import Panel
from fhpt_eval.pairs.shapes import Cut, Size, misfit, strip_of_itself

IMAGE = (176, 256)


def cut(*panels: Any, **more: Any) -> Cut:
    made = Cut.of(*panels, **more)
    assert made is not None
    return made


class TestOptions:
    def test_without_panels_nothing_is_cut(self) -> None:
        assert Cut.of() is None

    @pytest.mark.parametrize(
        ("panels", "source", "truth"), [(3, 1, 2), (5, 1, 3), (10, 2, 3), (11, 2, 3)]
    )
    def test_where_images_are_in_the_fields_strips_is_known(
        self, panels: int, source: int, truth: int
    ) -> None:
        assert cut(panels) == Cut(panels, 1, panels, truth, source)

    def test_of_other_strips_the_last_panel_is_generated_and_no_other_is_known(self) -> None:
        assert cut(8) == Cut(8, 1, 8, None, None)

    def test_each_panel_can_be_chosen(self) -> None:
        chosen = cut(8, panel=4, gt_panel=2, source_panel=1)
        assert (chosen.generated, chosen.ground_truth, chosen.source) == (4, 2, 1)

    def test_of_a_grid_too_the_last_panel_is_the_generated_image_unless_one_is_named(self) -> None:
        assert cut(grid=(2, 3)).of_generated((528, 512), (528, 512)) == Panel(6, 3, 2)

    def test_a_grid_has_rows_and_columns(self) -> None:
        grid = cut(grid=(2, 3), panel=6)
        assert grid.of_generated((528, 512), (528, 512)) == Panel(6, columns=3, rows=2)
        assert grid.label == "grids of 2 x 3"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"panel": 2}, "--panel needs --panels or --grid"),
            ({"gt_panel": 2}, "--gt-panel needs --panels or --grid"),
            ({"source_panel": 1}, "--source-panel needs --panels or --grid"),
            ({"panels": 3, "panel": 4}, "--panel 4 does not lie in 1 to 3"),
            ({"panels": 3, "gt_panel": 0}, "--gt-panel 0 does not lie in 1 to 3"),
            ({"grid": (2, 3), "panel": 1, "source_panel": 7}, "7 does not lie in 1 to 6"),
            ({"panels": 3, "grid": (2, 3)}, "give one"),
        ],
    )
    def test_what_does_not_go_together_is_refused(
        self, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            Cut.of(**options)


class TestWhatIsCut:
    def test_single_images_of_ground_truth_are_left_whole(self) -> None:
        strips, strip = cut(5), (880, 256)
        for truth in (IMAGE, (750, 1101)):
            assert strips.strip_among(strip, truth) == strip
            assert strips.of_generated(strip, strip) == Panel(5, 5)
            assert strips.of_truth(truth, strip) is None

    def test_ground_truth_in_strips_of_one_size_is_cut_alike(self) -> None:
        strips, strip = cut(5), (880, 256)
        assert strips.strip_among(strip, strip) == strip
        assert strips.of_truth(strip, strip) == Panel(3, 5)
        assert strips.of_source(strip, strip) == Panel(1, 5)

    def test_single_results_are_left_whole_beside_strips_of_another_side(self) -> None:
        strips, strip = cut(5), (880, 256)
        for others in ((strip,), (IMAGE, strip), (strip, IMAGE)):
            assert strips.strip_among(IMAGE, *others) == strip
        assert strips.of_generated(IMAGE, strip) is None
        assert strips.of_truth(IMAGE, strip) is None
        assert strips.of_truth(strip, strip) == Panel(3, 5)

    def test_a_named_panel_is_cut_whatever_the_size(self) -> None:
        assert cut(2, gt_panel=1).of_truth((512, 384), (352, 256)) == Panel(1, 2)

    def test_strips_of_ground_truth_whose_panel_is_not_known_are_asked_for(self) -> None:
        with pytest.raises(InputError, match=r"strips of 8 panels as well.*Say it with --gt-panel"):
            cut(8).of_truth((1408, 256), (1408, 256))
        with pytest.raises(InputError, match="--source-panel K"):
            cut(grid=(2, 3), panel=6).of_source((528, 512), (528, 512))


class TestMisfits:
    @pytest.mark.parametrize(
        ("ours", "theirs", "arithmetic"),
        [
            ((880, 256), IMAGE, "880 x 256 is 5 panels of 176 x 256: --panels 5?"),
            (IMAGE, (880, 256), "880 x 256 is 5 panels of 176 x 256: --panels 5?"),
            ((768, 256), (256, 256), "768 x 256 is 3 panels of 256 x 256: --panels 3?"),
            ((1760, 256), IMAGE, "1760 x 256 is 10 panels of 176 x 256: --panels 10?"),
            ((768, 512), (256, 256), "768 x 512 is 6 panels of 256 x 256: --grid 2x3?"),
            ((176, 512), IMAGE, "176 x 512 is 2 panels of 176 x 256: --grid 2x1?"),
            ((880, 256), (750, 1101), "5 panels of 176 x 256, shaped as 750 x 1101: --panels 5?"),
            ((2048, 1280), IMAGE, "differ by a factor of 2.3 in width to height"),
        ],
    )
    def test_a_strip_is_known_by_its_shape(self, ours: Size, theirs: Size, arithmetic: str) -> None:
        assert arithmetic in misfit(ours, theirs)

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (IMAGE, IMAGE),
            ((256, 256), IMAGE),
            ((352, 512), IMAGE),
            ((750, 1101), IMAGE),
            ((512, 512), (352, 512)),
            ((64, 128), (128, 256)),
            ((768, 1024), (192, 256)),
        ],
    )
    def test_what_the_field_resizes_is_no_strip(self, ours: Size, theirs: Size) -> None:
        assert misfit(ours, theirs) == misfit(theirs, ours) == ""

    @given(
        size=st.tuples(st.integers(1, 600), st.integers(1, 600)),
        rows=st.integers(1, 9),
        columns=st.integers(1, 9),
    )
    def test_a_grid_of_unequally_many_rows_and_columns_is_always_seen(
        self, size: Size, rows: int, columns: int
    ) -> None:
        grid = size[0] * columns, size[1] * rows
        assert bool(misfit(grid, size)) == (rows != columns)

    @given(st.tuples(st.integers(1, 600), st.integers(1, 600)), st.integers(1, 9))
    def test_an_enlarged_image_is_no_grid(self, size: Size, factor: int) -> None:
        assert misfit((size[0] * factor, size[1] * factor), size) == ""

    def test_a_wide_image_alone_may_be_a_strip_of_the_field(self) -> None:
        assert strip_of_itself((880, 256)) == "880 x 256 may be 5 panels of 176 x 256: --panels 5?"
        assert strip_of_itself((768, 256)).endswith("--panels 3?")
        assert strip_of_itself(IMAGE) == ""
