"""Tables of texts for people: on a terminal, as Markdown, as HTML. No cell is ever cut."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table as Drawn

#: The sign behind a score's name: which direction is better.
ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True)
class Table:
    """A header and rows of cells, all of one length.

    The first column and those in ``texts`` (by name) are texts, which may wrap on a terminal; all
    others are numbers, which do not. ``bold`` has places, (row, column) from 0 without the header.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: frozenset[str] = frozenset()
    bold: frozenset[tuple[int, int]] = field(default=frozenset())

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
            if table._least_width() <= width:
                return [table._drawn()]
        blocks, columns = [], [0]
        for column in range(1, len(self.header)):
            if len(columns) > 1 and self._columns([*columns, column])._least_width() > width:
                blocks.append(columns)
                columns = [0]
            columns.append(column)
        return [self._columns(chosen)._drawn() for chosen in [*blocks, columns]]

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

    def _least_width(self) -> int:
        from rich.console import Console
        from rich.measure import Measurement

        console = Console(width=100_000)
        return Measurement.get(console, console.options, self._drawn()).minimum

    def _drawn(self) -> Drawn:
        from rich.table import Table as Drawn
        from rich.text import Text

        drawn = Drawn(show_edge=False, pad_edge=False)
        for column, name in enumerate(self.header):
            if self._is_text(column):
                drawn.add_column(Text(name), overflow="fold")
            else:
                drawn.add_column(Text(name), justify="right", no_wrap=True)
        for number, row in enumerate(self.rows):
            styles = ["bold" if (number, column) in self.bold else "" for column in range(len(row))]
            drawn.add_row(*(Text(*cell) for cell in zip(row, styles, strict=True)))
        return drawn


def escaped(cell: str) -> str:
    """Keep a text out of the structure of a Markdown table."""
    plain = " ".join(cell.split())
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
