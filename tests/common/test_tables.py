"""Tables for people: as wide as there is room, or turned, or in blocks; no cell is cut."""

from __future__ import annotations

from fhpt_eval.common.tables import Table, escaped


def lines_of(table: Table, width: int) -> list[list[str]]:
    """Return the cells of every line that has any."""
    return [
        [cell.strip() for cell in line.replace("┃", "│").split("│")]
        for line in table.text(width).splitlines()
        if not set(line) & set("━╇")
    ]


FEW = Table(("method", "ssim ↑", "pairs"), [("ours", "0.7123", "8,570"), ("a", "0.6", "9")])
#: Of two methods and twelve scores.
WIDE = Table(
    ("method", *(f"score{n}" for n in range(12))),
    [(name, *(f"{place}.{n:04}" for n in range(12))) for place, name in enumerate(("ours", "a"))],
)
#: Of 12 methods and 12 scores.
LARGE = Table(WIDE.header, [(f"method{n}", *WIDE.rows[0][1:]) for n in range(12)])


def test_a_table_that_fits_is_printed_as_it_is() -> None:
    assert lines_of(FEW, 80) == [list(FEW.header), *map(list, FEW.rows)]


def test_one_that_is_too_wide_is_turned() -> None:
    lines = lines_of(WIDE, 80)
    assert lines[0] == ["method", "ours", "a"]
    assert lines[12] == ["score11", "0.0011", "1.0011"]


def test_one_that_is_too_wide_either_way_breaks_into_blocks_that_repeat_the_names() -> None:
    lines = lines_of(LARGE, 80)
    heads = [line for line in lines if line[0] == "method"]
    assert len(heads) > 1
    assert [name for head in heads for name in head[1:]] == list(LARGE.header[1:])
    of_first = [line for line in lines if line[0] == "method0"]
    assert [cell for line in of_first for cell in line[1:]] == list(LARGE.rows[0][1:])


def test_no_line_is_wider_than_the_terminal() -> None:
    for table in (FEW, WIDE, LARGE):
        assert max(map(len, table.text(80).splitlines())) <= 80


def test_texts_wrap_and_numbers_do_not() -> None:
    table = Table(("a", "b", "c"), [("x", "words " * 30, "0.123456789")], frozenset({"b"}))
    lines = lines_of(table, 40)
    assert len(lines) > 3
    assert sum("0.123456789" in line for line in lines) == 1


def test_a_table_without_rows_has_its_header() -> None:
    assert lines_of(Table(("a", "b"), []), 80) == [["a", "b"]]


def test_the_best_is_bold_in_markdown_and_stays_so_where_the_table_turns() -> None:
    best = Table(FEW.header, FEW.rows, bold=frozenset({(0, 1)}))
    assert best.markdown().splitlines()[2] == "| ours | **0.7123** | 8,570 |"
    assert best.turned().markdown().splitlines()[2] == "| ssim ↑ | **0.7123** | 0.6 |"


def test_numbers_are_aligned_to_the_right_in_markdown() -> None:
    table = Table(("a", "b", "c"), [("x", "y", "1")], frozenset({"b"}))
    assert table.markdown().splitlines()[1] == "| --- | --- | ---: |"


def test_a_name_breaks_neither_markdown_nor_html() -> None:
    assert escaped("a|b\n<c>\\") == "a\\|b &lt;c>\\\\"
    shown = Table(("<i>",), [("a&b",)]).html()
    assert "<th>&lt;i&gt;</th>" in shown
    assert "<td>a&amp;b</td>" in shown
