"""Tables of texts for people: on a terminal, as Markdown, as HTML. No cell is ever cut."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from fhpt_eval.common.text import printable

if TYPE_CHECKING:
    from rich.table import Table as Drawn

#: The sign behind a score's name: which direction is better.
_ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}
#: What stands between two columns on a terminal.
_GAP = len(" │ ")


def arrowed(name: str, direction: str) -> str:
    """Return a score's name with the sign of its direction; without one where there is none."""
    return name + _ARROWS[direction]


@dataclass(frozen=True)
class Table:
    """A header and rows of cells, all of one length.

    Columns in ``texts`` (by name) are texts, which may wrap on a terminal. The first one has names,
    which break only where they are longer than half a line; all others are numbers, which do not.
    ``bold`` has places, (row, column) from 0 without the header.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: frozenset[str] = frozenset()
    bold: frozenset[tuple[int, int]] = field(default=frozenset())

    def __post_init__(self) -> None:
        """Write out what would steer a terminal, whatever file a cell came from."""
        object.__setattr__(self, "header", [printable(name) for name in self.header])
        object.__setattr__(self, "rows", [[printable(cell) for cell in row] for row in self.rows])

    def markdown(self) -> str:
        """Return the table in Markdown; nothing in a cell can break it."""
        ends = ["---" if self._is_text(column) else "---:" for column in range(len(self.header))]
        lines = [list(map(escaped, self.header)), ends]
        for number, row in enumerate(self.rows):
            cells = [escaped(cell) for cell in row]
            for column in range(len(cells)):
                if (number, column) in self.bold:
                    cells[column] = f"**{cells[column]}**"
            lines.append(cells)
        return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)

    def html(self) -> str:
        """Return the table in HTML, escaped."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.header)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def fitted(self, width: int) -> list[Drawn]:
        """Return what to print on so many columns: the table, or it turned, or blocks of it."""
        for table in (self, self.turned()):
            if sum(table._least(width)) <= width:
                return [table._drawn(width)]
        blocks, columns = [], [0]
        for column in range(1, len(self.header)):
            if len(columns) > 1 and sum(self._columns([*columns, column])._least(width)) > width:
                blocks.append(columns)
                columns = [0]
            columns.append(column)
        return [self._columns(chosen)._drawn(width) for chosen in [*blocks, columns]]

    def text(self, width: int = 80) -> str:
        """Return the table in plain text, on so many columns where its words allow."""
        import io

        from rich.console import Console

        out = io.StringIO()
        console = Console(file=out, width=width, markup=False, highlight=False, color_system=None)
        for drawn in self.fitted(width):
            console.print(drawn)
        return out.getvalue()

    def turned(self) -> Table:
        """Return the table with rows for columns."""
        header, *rows = zip(self.header, *self.rows, strict=True)
        bold = frozenset((column - 1, row + 1) for row, column in self.bold if column)
        return Table(header, rows, frozenset(), bold)

    def _columns(self, chosen: Sequence[int]) -> Table:
        bold = {(row, chosen.index(column)) for row, column in self.bold if column in chosen}
        rows = [[row[column] for column in chosen] for row in self.rows]
        header = [self.header[column] for column in chosen]
        return replace(self, header=header, rows=rows, bold=frozenset(bold))

    def _is_text(self, column: int) -> bool:
        return not column or self.header[column] in self.texts

    def _cells(self, column: int) -> list[str]:
        return [self.header[column], *(row[column] for row in self.rows)]

    def _least(self, width: int) -> list[int]:
        """Return how much of a line each column needs: a number its digits, a text its words.

        A word that is longer than half a line breaks.
        """
        from rich.cells import cell_len

        least = []
        for column in range(len(self.header)):
            texts = self.header[column] in self.texts
            pieces = [
                p for cell in self._cells(column) for p in (cell.split() if texts else [cell])
            ]
            longest = max(map(cell_len, pieces), default=0)
            least.append((min(longest, width // 2) if self._is_text(column) else longest) + _GAP)
        return [*least[:-1], least[-1] - _GAP]

    def _widths(self, width: int) -> list[int]:
        """Share a line among the columns: what each needs, and of the rest as each can use it."""
        from rich.cells import cell_len

        least = self._least(width)
        most = [max(map(cell_len, self._cells(column))) + _GAP for column in range(len(least))]
        most[-1] -= _GAP
        wanted = [max(m - n, 0) for m, n in zip(most, least, strict=True)]
        share = min(1.0, max(width - sum(least), 0) / max(sum(wanted), 1))
        widths = [n + int(share * more) for n, more in zip(least, wanted, strict=True)]
        return [*(n - _GAP for n in widths[:-1]), widths[-1]]

    def _drawn(self, width: int) -> Drawn:
        from rich.table import Table as Drawn
        from rich.text import Text

        drawn = Drawn(show_edge=False, pad_edge=False)
        for column, cells in enumerate(self._widths(width)):
            justify: Literal["left", "right"] = "left" if self._is_text(column) else "right"
            drawn.add_column(
                Text(self.header[column]), justify=justify, width=cells, overflow="fold"
            )
        for number, row in enumerate(self.rows):
            styles = ["bold" if (number, column) in self.bold else "" for column in range(len(row))]
            drawn.add_row(*(Text(*cell) for cell in zip(row, styles, strict=True)))
        return drawn


def escaped(cell: str) -> str:
    """Keep a text out of the structure of a Markdown table."""
    plain = " ".join(cell.split())
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
