"""Results: what is written is what is read, and nothing else is read."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fhpt_eval.common.settings import digest_of
from fhpt_eval.errors import ResultError, StorageError
from fhpt_eval.result import (
    MAX_JSON_BYTES,
    FileRow,
    FileTable,
    PairTable,
    Result,
    Score,
    is_method_name,
)
from tests.support.results import DIGEST, SETTINGS, make_result, score


def make_table() -> PairTable:
    """Return a table with everything that a cell can hold."""
    return PairTable(
        ("-a", "=b", "c,d", "e"),
        {
            "ssim": np.array([0.1, 1 / 3, math.nan, -0.5]),
            "psnr": np.array([math.inf, 30.0, math.nan, 1e-300]),
        },
    )


Change = Callable[[dict[str, Any]], object]


def changed(folder: Path, change: Change) -> Path:
    """Write a result whose JSON was changed."""
    table = json.loads(make_result().to_json())
    change(table)
    return written(folder, json.dumps(table))


def written(folder: Path, text: str) -> Path:
    """Write the text of a ``result.json``."""
    path = folder / "result.json"
    path.write_text(text)
    return path


def refusal(path: Path) -> str:
    """Return what is said of a file that is no result: its name first, and no traceback."""
    with pytest.raises(ResultError) as error:
        Result.load(path)
    message = str(error.value)
    assert message.startswith(str(path))
    for text in ("Traceback", "pydantic", "https://", "ValidationError"):
        assert text not in message
    return message


HEADER = "pair,generated,ground_truth,source,item,group\n"
FILES = FileTable((
    FileRow("-a", "x/=b.png", "a,b.jpg", "", "shirt", 0),
    FileRow("c", "c.png", "", "s/d.png", "", 1),
))  # fmt: skip


class TestFiles:
    def test_what_is_written_is_what_is_read(self, tmp_path: Path) -> None:
        make_result().with_pairs(make_table(), FILES).save(tmp_path)
        read = Result.load(tmp_path).files
        assert read.equals(FILES.frame)
        assert list(read.columns) == ["generated", "ground_truth", "source", "item", "group"]
        assert read.loc["-a", "generated"] == "x/=b.png"

    def test_no_cell_starts_a_formula(self) -> None:
        assert FileTable((FileRow("=k", "-g", "+t", "@s", "=i", 0),)).to_csv().splitlines()[1] == (
            "'=k,'-g,'+t,'@s,'=i,0"
        )

    @pytest.mark.parametrize("text", ["", "pair\n", HEADER + "a,b\n", HEADER + "a,,,,,x\n"])
    def test_what_is_no_table_of_files_is_refused(self, tmp_path: Path, text: str) -> None:
        make_result().with_pairs(make_table(), FILES).save(tmp_path)
        (tmp_path / "files.csv").write_text(text)
        with pytest.raises(ResultError, match=r"files\.csv: is not a table of files"):
            Result.load(tmp_path)

    def test_without_its_folder_a_result_has_no_files(self, tmp_path: Path) -> None:
        make_result().with_pairs(make_table(), FILES).save(tmp_path)
        with pytest.raises(ResultError, match="give the run's folder"):
            _ = Result.load(tmp_path / "result.json").files


class TestScores:
    def test_a_value_needs_no_reason(self) -> None:
        assert score(0.5).reason is None

    def test_a_reason_needs_no_value(self) -> None:
        assert score(None, "too small").value is None

    @pytest.mark.parametrize(("value", "reason"), [(None, None), (0.5, "too small")])
    def test_a_score_has_either_a_value_or_a_reason(
        self, value: float | None, reason: str | None
    ) -> None:
        with pytest.raises(ValidationError, match="either a value or a reason"):
            score(value, reason)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_a_value_is_finite(self, value: float) -> None:
        with pytest.raises(ValidationError, match="finite"):
            score(value)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"coverage": 1.1},
            {"coverage": -0.1},
            {"coverage": math.nan},
            {"n": -1},
            {"n": 1.0},
            {"direction": "up"},
            {"interval": (0.1, math.inf)},
            {"interval": (0.1,)},
            {"worth": 1},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            score(**wrong)

    def test_scores_cannot_be_changed_afterwards(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            score().value = 1.0  # type: ignore[misc]


finite = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(st.characters(codec="utf-8"), max_size=20)
values_or_reasons = st.one_of(st.tuples(finite, st.none()), st.tuples(st.none(), words))
some_scores = st.builds(
    lambda either, direction, n, coverage, interval, note: Score(
        value=either[0],
        reason=either[1],
        direction=direction,
        n=n,
        coverage=coverage,
        interval=interval,
        note=note,
    ),
    values_or_reasons,
    st.sampled_from(["higher", "lower"]),
    st.integers(0, 2**53),
    st.floats(0, 1),
    st.none() | st.tuples(finite, finite),
    st.none() | words,
)


class TestJson:
    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(
        st.dictionaries(words, some_scores, min_size=1, max_size=4), words.filter(is_method_name)
    )
    def test_what_is_written_is_what_is_read(self, scores: dict[str, Score], method: str) -> None:
        result = make_result(scores, method)
        again = Result.model_validate_json(result.to_json())
        assert again == result
        assert again.to_json() == result.to_json()

    def test_the_same_result_gives_the_same_text(self) -> None:
        assert make_result().to_json() == make_result().to_json()

    def test_the_schema_version_comes_first(self) -> None:
        table = json.loads(make_result().to_json())
        assert list(table)[0] == "schema_version"  # noqa: RUF015
        assert table["schema_version"] == 1

    def test_only_the_timing_differs_from_run_to_run(self) -> None:
        one, other = json.loads(make_result().to_json()), json.loads(make_result().to_json())
        other["timing"]["seconds"] = 99.0
        assert {key for key in one if one[key] != other[key]} == {"timing"}

    def test_undefined_scores_are_null_with_the_reason(self) -> None:
        table = json.loads(make_result().to_json())
        assert table["scores"]["psnr"]["value"] is None
        assert table["scores"]["psnr"]["reason"] == "no value"

    def test_names_of_any_script_stay_readable(self) -> None:
        assert '"method": "姿势"' in make_result(method="姿势").to_json()

    def test_scores_keep_their_order(self) -> None:
        names = ["zeta", "alpha", "mid"]
        result = make_result({name: score() for name in names})
        assert list(Result.model_validate_json(result.to_json()).scores) == names


class TestSaveAndLoad:
    def test_a_folder_comes_back_with_its_pairs(self, tmp_path: Path) -> None:
        make_result().with_pairs(make_table()).save(tmp_path)
        again = Result.load(tmp_path)
        assert again.to_json() == make_result().to_json()
        pd.testing.assert_frame_equal(again.pairs, make_table().frame, check_exact=True)

    def test_a_folder_may_be_given_as_text(self, tmp_path: Path) -> None:
        make_result().save(tmp_path)
        assert Result.load(str(tmp_path)) == Result.load(tmp_path)

    def test_three_files_are_written_and_nothing_is_left_beside_them(self, tmp_path: Path) -> None:
        make_result().with_pairs(make_table()).save(tmp_path / "run")
        files = sorted(path.name for path in (tmp_path / "run").iterdir())
        assert files == ["pairs.csv", "result.json", "scores.csv"]

    def test_saving_twice_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            make_result().with_pairs(make_table()).save(tmp_path / name)
        for file in ("pairs.csv", "result.json", "scores.csv"):
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()

    def test_a_json_alone_has_no_pairs_and_says_what_to_give(self, tmp_path: Path) -> None:
        make_result().with_pairs(make_table()).save(tmp_path)
        result = Result.load(tmp_path / "result.json")
        with pytest.raises(ResultError) as error:
            _ = result.pairs
        assert str(error.value) == (
            "The per-pair values of ours were not loaded: give the run's folder, "
            "with its pairs.csv, rather than result.json alone."
        )

    def test_a_folder_without_its_pairs_is_still_a_result(self, tmp_path: Path) -> None:
        make_result().save(tmp_path)
        result = Result.load(tmp_path)
        assert result.scores["ssim"].value == 0.5
        with pytest.raises(ResultError, match="were not loaded"):
            _ = result.pairs

    def test_adding_pairs_leaves_the_first_result_without(self) -> None:
        result = make_result()
        assert len(result.with_pairs(make_table()).pairs) == 4
        with pytest.raises(ResultError):
            _ = result.pairs

    def test_results_with_equal_pairs_are_equal(self) -> None:
        first, second = (make_result().with_pairs(make_table()) for _ in range(2))
        assert first == second

    def test_a_folder_that_cannot_be_written_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "run").touch()
        with pytest.raises(StorageError, match="cannot be written"):
            make_result().save(tmp_path / "run")


class TestPairs:
    """Per-pair values are a DataFrame, made when it is asked for."""

    def test_the_columns_are_the_values_and_the_index_is_the_pair(self) -> None:
        pairs = make_result().with_pairs(make_table()).pairs
        assert isinstance(pairs, pd.DataFrame)
        assert list(pairs) == ["ssim", "psnr"]
        assert pairs.index.name == "pair"
        assert list(pairs.index) == list(make_table().keys)
        assert (pairs.dtypes == np.float64).all()

    def test_undefined_values_are_missing_and_passed_over(self) -> None:
        pairs = make_result().with_pairs(make_table()).pairs
        assert pairs["ssim"].isna().tolist() == [False, False, True, False]
        assert pairs["ssim"].min() == -0.5

    def test_pairs_can_be_grouped_by_what_their_names_say(self) -> None:
        pairs = make_result().with_pairs(make_table()).pairs
        means = pairs["ssim"].groupby(pairs.index.str.len()).mean()
        assert means.loc[2] == pytest.approx((0.1 + 1 / 3) / 2)

    def test_a_parquet_file_comes_back_the_same(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        pairs = make_result().with_pairs(make_table()).pairs
        pairs.to_parquet(tmp_path / "pairs.parquet")
        again = pd.read_parquet(tmp_path / "pairs.parquet")
        pd.testing.assert_frame_equal(again, pairs, check_exact=True)

    def test_changing_the_frame_leaves_what_is_written_alone(self) -> None:
        result = make_result().with_pairs(table := make_table())
        result.pairs["ssim"] = 0.0
        assert table.to_csv() == make_table().to_csv()

    def test_pandas_is_imported_only_when_they_are_asked_for(self, tmp_path: Path) -> None:
        make_result().with_pairs(make_table()).save(tmp_path)
        script = (
            "import sys; from fhpt_eval import Result\n"
            "result = Result.load(sys.argv[1]); result.save(__import__('pathlib').Path('again'))\n"
            "assert 'pandas' not in sys.modules\n"
            "result.pairs; assert 'pandas' in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", script, tmp_path], check=True, cwd=tmp_path)


class TestShown:
    """A result that is printed, or shown in a notebook, is a table of its scores."""

    def test_every_score_is_a_row_with_its_interval_and_count(self) -> None:
        text = str(make_result({"ssim": score(1 / 3, interval=(0.25, 0.5), n=8570)}))
        assert "ours under protocol fhpt" in text
        (row,) = [line for line in text.splitlines() if "ssim" in line]
        assert row.strip("│").replace("│", " ").split() == [
            "ssim", "↑", "0.3333", "0.2500", "to", "0.5000", "8,570"
        ]  # fmt: skip

    def test_it_ends_with_what_a_reader_of_the_numbers_needs(self) -> None:
        assert str(make_result()).endswith(
            f"4 pairs in 2 groups, protocol fhpt ({digest_of(SETTINGS)[:12]}), test set "
            f"{DIGEST[:12]}, fhpt-eval 0.1"
        )

    def test_it_fits_80_columns_and_cuts_no_digit(self) -> None:
        name = "face_identity[mannequin].distance_of_descriptors"
        text = str(make_result({name: score(-123456.7891, interval=(-123456.7891, 123456.7891))}))
        assert max(map(len, text.splitlines()[:-1])) <= 80
        assert "-123456.7891 to 123456.7891" in text

    def test_a_score_that_rests_on_some_pairs_says_on_which_share(self) -> None:
        (row,) = make_result({"ssim": score(n=3, coverage=0.75)}).table().rows
        assert row[-1] == "3 (75.0%)"

    def test_details_and_what_rests_on_no_pair_are_left_out(self) -> None:
        scores = {"a": score(), "b": score(detail=True), "c": score(None, "no", n=0)}
        assert [row[0] for row in make_result(scores).table().rows] == ["a ↑"]

    def test_a_notebook_shows_a_table_with_names_escaped(self) -> None:
        shown = make_result({"<b>": score()}, method="<script>")._repr_html_()
        assert "<td>&lt;b&gt; ↑</td><td>0.5000</td>" in shown
        assert "<script>" not in shown


class TestScoresCsv:
    def test_there_is_a_row_per_score(self) -> None:
        assert make_result().scores_csv().splitlines() == [
            "score,value,low,high,direction,n,coverage,reason,note",
            "ssim,0.5,0.4,0.6,higher,4,1.0,,",
            "psnr,,,,higher,4,1.0,no value,",
        ]

    def test_reasons_that_look_like_formulas_are_escaped(self) -> None:
        text = make_result({"ssim": score(None, "=1+1, surely")}).scores_csv()
        assert list(csv.reader(io.StringIO(text)))[1][7] == "'=1+1, surely"

    @pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-300, -2.5])
    def test_numbers_keep_all_their_digits(self, value: float) -> None:
        text = make_result({"ssim": score(value)}).scores_csv()
        assert float(list(csv.reader(io.StringIO(text)))[1][1]) == value


class TestRefused:
    def test_a_missing_file_says_which_folder_to_give(self, tmp_path: Path) -> None:
        message = refusal(tmp_path / "result.json")
        assert message.endswith(
            "(No such file or directory). Give the folder that 'fhpt-eval run' wrote."
        )

    def test_a_folder_without_a_result_names_the_file_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(
            ResultError, match=rf"^{tmp_path}/result\.json cannot be read \(No such file"
        ):
            Result.load(tmp_path)

    def test_another_schema_version_is_refused(self, tmp_path: Path) -> None:
        message = refusal(changed(tmp_path, lambda t: t.update(schema_version=2)))
        assert "result.schema_version: must be 1, not 2" in message

    def test_a_misspelt_key_is_named_with_what_was_meant(self, tmp_path: Path) -> None:
        message = refusal(changed(tmp_path, lambda t: t.update(methd="x")))
        assert "result.methd: there is no such key. Did you mean 'method'?" in message

    def test_a_missing_key_is_named(self, tmp_path: Path) -> None:
        message = refusal(changed(tmp_path, lambda t: t["provenance"].pop("device")))
        assert "result.provenance.device: is missing." in message

    @pytest.mark.parametrize(
        ("where", "change"),
        [
            ("scores.ssim.value", lambda t: t["scores"]["ssim"].update(value=math.nan)),
            ("scores.ssim.value", lambda t: t["scores"]["ssim"].update(value=math.inf)),
            (
                "scores.ssim.interval.0",
                lambda t: t["scores"]["ssim"].update(interval=[math.nan, 1]),
            ),
            ("scores.ssim.coverage", lambda t: t["scores"]["ssim"].update(coverage=math.nan)),
        ],
    )
    def test_a_number_that_is_none_is_refused(
        self, tmp_path: Path, where: str, change: Change
    ) -> None:
        assert f"result.{where}: Input should be a finite number" in refusal(
            changed(tmp_path, change)
        )

    @pytest.mark.parametrize(
        "change",
        [
            lambda t: t["timing"].update(seconds=math.nan),
            lambda t: t["protocol"]["settings"].update(sigma=math.nan),
        ],
        ids=["timing", "settings"],
    )
    def test_a_number_that_is_none_is_refused_anywhere(
        self, tmp_path: Path, change: Change
    ) -> None:
        message = refusal(changed(tmp_path, change))
        assert "finite number" in message or "not JSON compliant" in message

    @pytest.mark.parametrize(
        ("where", "change"),
        [
            ("method", lambda t: t.update(method="")),
            ("method", lambda t: t.update(method="x" * 201)),
            ("test_set.digest", lambda t: t["test_set"].update(digest="abc")),
            ("protocol.digest", lambda t: t["protocol"].update(digest=DIGEST.upper())),
            ("test_set.pairs", lambda t: t["test_set"].update(pairs="4")),
            ("scores", lambda t: t.update(scores=[1, 2])),
            ("scores.psnr", lambda t: t["scores"]["psnr"].update(reason=None)),
            ("scores.ssim.n", lambda t: t["scores"]["ssim"].update(n=True)),
        ],
    )
    def test_a_wrong_value_is_refused_with_its_place(
        self, tmp_path: Path, where: str, change: Change
    ) -> None:
        assert f"result.{where}: " in refusal(changed(tmp_path, change))

    def test_many_faults_are_counted_rather_than_listed(self, tmp_path: Path) -> None:
        message = refusal(written(tmp_path, "{}"))
        assert message.count("is missing") == 3
        assert message.endswith("and 3 more")

    @pytest.mark.parametrize("text", ["", "no json", "{", '{"a": 1', "[[[[", "null", "3"])
    def test_what_is_no_json_object_is_refused(self, tmp_path: Path, text: str) -> None:
        assert "is not a result of fhpt-eval" in refusal(written(tmp_path, text))

    @pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
    def test_endless_nesting_is_refused(self, tmp_path: Path, text: str) -> None:
        assert "recursion limit" in refusal(written(tmp_path, text))

    @pytest.mark.parametrize(
        "text", ["x" * 100_000, json.dumps(list(range(10_000)))], ids=["text", "list"]
    )
    def test_the_message_is_short_however_long_the_file(self, tmp_path: Path, text: str) -> None:
        assert len(refusal(written(tmp_path, text))) < 1000

    def test_a_misspelt_key_further_down_is_named_with_what_is_allowed_there(
        self, tmp_path: Path
    ) -> None:
        message = refusal(changed(tmp_path, lambda t: t["scores"]["ssim"].update(valeu=1)))
        assert "schema_version" not in message
        assert "Did you mean 'value'?" in message

    def test_a_file_that_is_not_utf_8_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "result.json"
        path.write_bytes(b"\xff\xfe{}")
        assert "result.json, line 1: is not UTF-8 text" in refusal(path)

    def test_a_huge_file_is_refused_without_being_read(self, tmp_path: Path) -> None:
        path = tmp_path / "result.json"
        with path.open("wb") as file:
            file.truncate(MAX_JSON_BYTES + 1)  # takes no room on the disk
        assert "cannot be read (it is larger than 67,108,864 bytes)" in refusal(path)

    def test_damaged_pairs_are_refused_by_name(self, tmp_path: Path) -> None:
        make_result().with_pairs(make_table()).save(tmp_path)
        (tmp_path / "pairs.csv").write_text("pair,ssim\na,zero\n")
        with pytest.raises(ResultError, match=rf"^{tmp_path}/pairs\.csv: is not a table of pairs"):
            Result.load(tmp_path)


keys = st.lists(
    st.builds(
        lambda start, rest: start + rest,
        st.sampled_from(["", "-", "=", "+", "@", "a/", "\t", '"', ","]),
        # "\r" and "'" have tests of their own in test_storage.py.
        st.text(st.characters(codec="utf-8", exclude_characters="\r'"), min_size=1, max_size=8),
    ),
    unique=True,
    max_size=6,
)
columns = st.lists(
    st.text("abcdefgh_.@[]", min_size=1, max_size=8).filter(lambda name: name[0] != "@"),
    unique=True,
    max_size=3,
)


class TestPairTable:
    def test_the_first_column_is_the_pair(self) -> None:
        assert make_table().to_csv() == (
            "pair,ssim,psnr\n'-a,0.1,inf\n'=b,0.3333333333333333,30.0\n\"c,d\",,\ne,-0.5,1e-300\n"
        )

    def test_a_table_without_pairs_keeps_its_columns(self) -> None:
        again = PairTable.from_csv("pair,ssim\n", "pairs.csv")
        assert again.keys == ()
        assert again.columns["ssim"].shape == (0,)

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(keys, columns, st.randoms(use_true_random=False))
    def test_what_is_written_is_what_is_read(
        self, keys: list[str], columns: list[str], numbers: Any
    ) -> None:
        special = [math.nan, math.inf, -math.inf, -0.0, 5e-324]
        table = PairTable(
            tuple(keys),
            {
                name: np.array([numbers.choice([*special, numbers.random()]) for _ in keys])
                for name in columns
            },
        )
        again = PairTable.from_csv(table.to_csv(), "pairs.csv")
        assert again.keys == table.keys
        assert list(again.columns) == columns
        for name in columns:
            assert again.columns[name].dtype == np.float64
            np.testing.assert_array_equal(again.columns[name], table.columns[name])
        assert again.to_csv() == table.to_csv()

    @pytest.mark.parametrize(
        "text",
        ["", "pair,ssim\na,x\n", "pair,ssim\na,1,2\n", "pair,ssim\na\n", "pair,ssim\n\n\n",
         "pair,a,b\nx,1,2\ny,1\n", f"pair,ssim\n{'a' * 200_000},1\n"],
        ids=["empty", "text", "wide", "narrow", "blank", "ragged", "endless"],
    )  # fmt: skip
    def test_what_is_no_table_is_refused_by_name(self, text: str) -> None:
        with pytest.raises(ResultError, match=r"^pairs\.csv: is not a table of pairs \("):
            PairTable.from_csv(text, "pairs.csv")

    @pytest.mark.parametrize(
        "text",
        ["method,ssim\na,1\n", "pair,ssim\na,1\na,2\n", "pair,ssim,ssim\na,1,2\n"],
        ids=["another table", "key twice", "column twice"],
    )
    def test_another_table_and_names_that_stand_twice_are_refused(self, text: str) -> None:
        with pytest.raises(ResultError, match=r"^pairs\.csv: is not a table of pairs \("):
            PairTable.from_csv(text, "pairs.csv")
