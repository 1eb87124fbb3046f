"""Reading with a bound, writing whole or not at all, and CSV that no spreadsheet computes."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fhpt_eval.common.files import (
    check_json,
    check_writable,
    csv_text,
    keep_apart,
    opened,
    plain_text,
    read_bytes,
    read_text,
    remove_leftovers,
    toml_table,
    write_atomically,
)
from fhpt_eval.errors import InputError, ResultError, StorageError

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "-a.png", "=HYPERLINK(1)"]


@contextlib.contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let the operating system refuse larger files, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestReading:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "list.csv"
        path.write_bytes(b"12345\r\n")
        return path

    def refusal(self, path: Path, limit: int = 7) -> str:
        with pytest.raises(InputError) as error:
            read_text(path, limit, "a CSV of pairs")
        return str(error.value)

    def test_a_file_of_the_largest_size_is_read_as_it_is(self, path: Path) -> None:
        assert read_bytes(path, 7, "a list") == b"12345\r\n"
        assert read_text(path, 7, "a list") == "12345\r\n"

    def test_one_byte_more_is_refused_with_what_to_give(self, path: Path) -> None:
        assert self.refusal(path, 6) == (
            f"{path} cannot be read (it is larger than 6 bytes). Give a CSV of pairs."
        )

    def test_a_file_whose_size_is_not_known_is_read_no_further_than_the_limit(self) -> None:
        """The size that the kernel states of its own files is 0."""
        assert "larger than 8 bytes" in self.refusal(Path("/proc/self/status"), 8)

    def test_a_byte_order_mark_is_no_text(self, path: Path) -> None:
        path.write_text("é", "utf-8-sig")
        assert read_text(path, 7, "a list") == "é"

    def test_text_that_is_not_utf_8_is_refused_with_its_line(self, path: Path) -> None:
        path.write_bytes(b"a\n\xff")
        assert self.refusal(path) == (
            f"{path}, line 2: is not UTF-8 text (invalid start byte). Save the file as UTF-8."
        )

    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        message = self.refusal(tmp_path / "none.csv")
        assert "none.csv cannot be read (No such file or directory). Give a CSV of" in message

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        assert "cannot be read (Is a directory)" in self.refusal(tmp_path)

    def test_a_pipe_is_refused_rather_than_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert "cannot be read (it is not a file)" in self.refusal(tmp_path / "pipe")

    @pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
    def test_a_name_that_no_file_can_have_is_refused(self, name: str) -> None:
        assert "cannot be read (" in self.refusal(Path(name))

    def test_the_reader_chooses_the_error(self, path: Path) -> None:
        with pytest.raises(ResultError, match="larger than 1 bytes"):
            read_text(path, 1, "a result", error=ResultError)


class TestToml:
    def refusal(self, text: str) -> str:
        with pytest.raises(InputError) as error:
            toml_table(text, "p.toml")
        return str(error.value)

    def test_a_key_of_very_many_parts_is_refused_before_it_is_built(self) -> None:
        assert self.refusal("a=1\n" + ".".join("a" * 20_000) + "=1") == (
            "p.toml, line 2: has more than 200 dots; break it."
        )

    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ('a.b = "x\\u0000y"', "a.b"),
            ('[[a]]\nb = ["x", "\\u001b"]', "a.b"),
            ('"\\u001b" = 1', r"\u001b"),
        ],
    )
    def test_a_control_character_is_refused_with_its_key(self, text: str, key: str) -> None:
        assert self.refusal(text) == (f"p.toml: {key}: there is a control character; leave it out.")

    def test_texts_of_several_lines_and_tabs_are_texts(self) -> None:
        assert toml_table('a = """x\ty\nz"""', "p.toml") == {"a": "x\ty\nz"}


class TestJson:
    def test_more_values_than_are_bearable_are_refused(self) -> None:
        check_json("[1, 2, [3], {}]", 6)
        with pytest.raises(ValueError, match="more than 5 values"):
            check_json("[1, 2, [3], {}]", 5)


class TestOpening:
    def test_the_file_is_read_as_it_was_opened(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"12345")
        with opened(tmp_path / "a", 5) as file:
            (tmp_path / "a").unlink()
            assert file.read() == b"12345"

    @pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/stdin"])
    def test_a_device_is_refused(self, path: str) -> None:
        with pytest.raises(OSError, match="it is not a file"), opened(Path(path), 5):
            pass


class TestWriting:
    def test_the_bytes_are_in_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "result.json"
        write_atomically(path, b"\0\r\nbytes\xff")
        assert path.read_bytes() == b"\0\r\nbytes\xff"

    @pytest.mark.parametrize("name", ["n" * 255, "ä" * 127])
    def test_a_name_may_be_as_long_as_the_file_system_takes(
        self, tmp_path: Path, name: str
    ) -> None:
        write_atomically(tmp_path / name, b"bytes")
        assert (tmp_path / name).read_bytes() == b"bytes"

    def test_no_temporary_file_is_left(self, tmp_path: Path) -> None:
        write_atomically(tmp_path / "result.json", b"new")
        assert [path.name for path in tmp_path.iterdir()] == ["result.json"]

    def test_folders_are_made(self, tmp_path: Path) -> None:
        path = tmp_path / "runs" / "mine" / "result.json"
        write_atomically(path, b"new")
        assert path.read_bytes() == b"new"

    def test_an_older_file_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "result.json"
        path.write_bytes(b"a longer text than the new one")
        write_atomically(path, b"new")
        assert path.read_bytes() == b"new"

    def test_whoever_has_the_older_file_open_goes_on_reading_it(self, tmp_path: Path) -> None:
        path = tmp_path / "result.json"
        path.write_bytes(b"old")
        with path.open("rb") as reader:
            write_atomically(path, b"new")
            assert reader.read() == b"old"

    @pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
    def test_who_may_read_the_file_is_what_the_umask_says(self, tmp_path: Path, umask: int) -> None:
        before = os.umask(umask)
        try:
            write_atomically(tmp_path / "result.json", b"new")
        finally:
            os.umask(before)
        assert (tmp_path / "result.json").stat().st_mode & 0o777 == 0o666 & ~umask

    @pytest.mark.parametrize("target", ["target.csv", "nothing", "link.csv"])
    def test_a_link_is_neither_written_through_nor_replaced(
        self, tmp_path: Path, target: str
    ) -> None:
        (tmp_path / "target.csv").write_bytes(b"old")
        link = tmp_path / "link.csv"
        link.symlink_to(target)
        with pytest.raises(StorageError, match="it is a link; give the file that it leads to"):
            write_atomically(link, b"new")
        assert os.readlink(link) == target  # noqa: PTH115
        assert (tmp_path / "target.csv").read_bytes() == b"old"

    def test_a_pipe_or_a_device_is_not_replaced(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path, kind in ((tmp_path / "pipe", "a pipe"), (Path("/dev/null"), "a device")):
            before = path.lstat()
            with pytest.raises(StorageError, match=f"cannot be written .it is {kind}"):
                write_atomically(path, b"new")
            assert path.lstat().st_ino == before.st_ino

    def test_a_failure_leaves_the_older_file_and_no_temporary_one(self, tmp_path: Path) -> None:
        path = tmp_path / "result.json"
        path.write_bytes(b"old")
        with files_no_larger_than(1000), pytest.raises(StorageError):
            write_atomically(path, bytes(100_000))
        assert path.read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir()] == ["result.json"]

    def test_a_full_disk_says_that_nothing_is_lost_and_what_to_do(self, tmp_path: Path) -> None:
        path = tmp_path / "result.json"
        with files_no_larger_than(1000), pytest.raises(StorageError) as error:
            write_atomically(path, bytes(100_000))
        message = str(error.value)
        assert message.startswith(f"The disk is full: {path} could not be written")
        assert "What was finished is kept; free some room and repeat the command" in message

    def test_a_folder_in_the_way_is_an_error_that_leaves_nothing_behind(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "result.json"
        path.mkdir()
        with pytest.raises(StorageError, match=rf"{path} cannot be written \(Is a directory\)"):
            write_atomically(path, b"new")
        assert [path.name for path in tmp_path.iterdir()] == ["result.json"]

    def test_a_file_in_the_place_of_a_folder_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "runs").touch()
        with pytest.raises(StorageError, match=r"cannot be written .*Choose another place"):
            write_atomically(tmp_path / "runs" / "mine" / "result.json", b"new")


class TestCheckWritable:
    def test_the_folder_is_made_and_left_empty(self, tmp_path: Path) -> None:
        folder = tmp_path / "runs" / "mine"
        check_writable(folder)
        assert list(folder.iterdir()) == []

    def test_a_folder_that_is_there_keeps_its_files(self, tmp_path: Path) -> None:
        (tmp_path / "result.json").write_text("old")
        check_writable(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["result.json"]

    @pytest.mark.parametrize("below", ["", "mine", "mine/deeper"])
    def test_a_file_in_the_way_is_an_error(self, tmp_path: Path, below: str) -> None:
        (tmp_path / "runs").touch()
        folder = tmp_path / "runs" / below
        with pytest.raises(StorageError) as error:
            check_writable(folder)
        assert str(error.value).startswith(f"{folder} cannot be written (")
        assert str(error.value).endswith("Choose another place.")

    def test_a_place_where_nothing_can_be_written_is_an_error(self) -> None:
        with pytest.raises(StorageError, match=r"^/proc/fhpt cannot be .* another place\.$"):
            check_writable(Path("/proc/fhpt"))

    def test_a_name_that_is_too_long_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="File name too long"):
            check_writable(tmp_path / ("x" * 300))


class TestKeepApart:
    @pytest.mark.parametrize("out", [".", "list.csv", "images", "images/../list.csv", "link"])
    def test_what_is_read_or_holds_it_is_not_written(self, tmp_path: Path, out: str) -> None:
        (tmp_path / "list.csv").touch()
        (tmp_path / "images").mkdir()
        (tmp_path / "link").symlink_to("list.csv")
        given = {"--pairs": tmp_path / "list.csv", "--pred": tmp_path / "images"}
        with pytest.raises(InputError, match=r"read here \(--(pairs|pred)"):
            keep_apart(tmp_path / out, given)

    @pytest.mark.parametrize("out", ["runs", "list.csv.new", "images/runs", "list"])
    def test_all_other_places_may_be_written(self, tmp_path: Path, out: str) -> None:
        given = {"--pairs": tmp_path / "list.csv", "--pred": tmp_path / "images"}
        keep_apart(tmp_path / out, given)

    def test_a_link_that_leads_to_itself_is_a_place_like_any_other(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        keep_apart(tmp_path / "runs", {"--pred": tmp_path / "loop"})


class TestRemoveLeftovers:
    HALF = f".{'0a' * 20}-{'1b' * 9}c.0123abcd.tmp"

    def put(self, folder: Path, name: str, hours: float = 2) -> Path:
        path = folder / "0a" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        then = path.stat().st_mtime - hours * 3600
        os.utime(path, (then, then))
        return path

    def test_half_written_partials_of_long_ago_are_removed(self, tmp_path: Path) -> None:
        path = self.put(tmp_path, self.HALF)
        remove_leftovers(tmp_path)
        assert not path.exists()

    def test_those_of_a_run_that_may_still_go_on_stay(self, tmp_path: Path) -> None:
        path = self.put(tmp_path, self.HALF, 0.5)
        remove_leftovers(tmp_path)
        assert path.exists()

    @pytest.mark.parametrize("name", [".mydata.tmp", "x.tmp", ".0a.tmp", "0a" * 20 + ".partial"])
    def test_every_other_file_stays(self, tmp_path: Path, name: str) -> None:
        path = self.put(tmp_path, name)
        remove_leftovers(tmp_path)
        assert path.exists()

    def test_what_a_run_writes_is_what_is_recognised(self, tmp_path: Path) -> None:
        """A partial's temporary name, as the store's files get it."""
        from fhpt_eval.evaluation.store.partial import Partial
        from fhpt_eval.evaluation.store.store import FolderStore

        seen = []
        real = Path.replace

        def note(path: Path, target: Path) -> Path:
            seen.append(path.name)
            return real(path, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "replace", note)
            FolderStore(tmp_path).save(Partial("e" * 64, "f" * 64, ()))
        path = self.put(tmp_path, seen[0])
        remove_leftovers(tmp_path)
        assert not path.exists()

    def test_a_link_that_leads_nowhere_or_no_folder_at_all_is_no_fault(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "0a").mkdir()
        (tmp_path / "0a" / ".x.tmp").symlink_to("nothing")
        remove_leftovers(tmp_path)
        remove_leftovers(tmp_path / "none")


def cells(text: str) -> list[list[str]]:
    """Read CSV as any reader would."""
    return list(csv.reader(io.StringIO(text, newline="")))


#: What a file's name may be made of; every text starts with something worth a test now and then.
texts = st.builds(
    lambda start, rest: start + rest,
    st.sampled_from(["", "=", "+", "-", "@", "\t", "\n", '"', ",", ";"]),
    st.text(st.characters(codec="utf-8"), max_size=10).filter(lambda text: "\r" not in text),
)
floats = st.floats(allow_nan=False)


class TestCsv:
    def test_rows_are_lines(self) -> None:
        assert csv_text([["pair", "ssim"], ["a", 0.5]]) == "pair,ssim\na,0.5\n"

    def test_what_is_undefined_is_an_empty_cell(self) -> None:
        assert csv_text([["a", None, 1]]) == "a,,1\n"

    def test_commas_and_quotes_are_quoted(self) -> None:
        assert csv_text([['a,"b"', "c"]]) == '"a,""b""",c\n'

    @pytest.mark.parametrize("text", FORMULAS)
    def test_no_cell_of_text_starts_a_formula(self, text: str) -> None:
        ((cell, _),) = cells(csv_text([[text, "x"]]))
        assert cell == f"'{text}"
        assert plain_text(cell) == text

    def test_negative_numbers_stay_numbers(self) -> None:
        assert csv_text([[-1.5, -2]]) == "-1.5,-2\n"

    @pytest.mark.parametrize("text", ["a.png", "a=b", "x-1", "5", " =1", "'quoted'", "", "'", "'a"])
    def test_other_texts_are_left_alone(self, text: str) -> None:
        ((cell, _),) = cells(csv_text([[text, "x"]]))
        assert cell == text
        assert plain_text(cell) == text

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(floats)
    @example(0.1)
    @example(1 / 3)
    @example(5e-324)
    @example(-math.inf)
    def test_numbers_keep_all_their_digits(self, number: float) -> None:
        ((cell,),) = cells(csv_text([[number]]))
        assert float(cell) == number

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(st.lists(st.lists(texts, min_size=2, max_size=3), max_size=4))
    def test_texts_come_back_as_they_were(self, rows: list[list[str]]) -> None:
        read = cells(csv_text(rows))
        assert [[plain_text(cell) for cell in row] for row in read] == rows

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(texts)
    def test_no_text_starts_a_formula(self, text: str) -> None:
        ((cell, _),) = cells(csv_text([[text, "x"]]))
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))

    @pytest.mark.parametrize("text", ["'=1", "'-a.png", "'+"])
    def test_a_text_that_itself_looks_escaped_comes_back_as_it_was(self, text: str) -> None:
        ((cell, _),) = cells(csv_text([[text, "x"]]))
        assert plain_text(cell) == text

    @pytest.mark.parametrize("text", ["a\rb", "\r=1", "a.png\r=HYPERLINK(1)"])
    def test_a_carriage_return_within_a_text_starts_no_row(self, text: str) -> None:
        ((cell, _),) = cells(csv_text([[text, "x"]]))
        assert plain_text(cell) == text
