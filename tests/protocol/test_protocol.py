"""Protocols: what a file may say, what is said of a fault, and what moves the digest."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from fhpt_eval.common.settings import digest_of
from fhpt_eval.common.shipped import MAX_BYTES
from fhpt_eval.errors import ProtocolError
from fhpt_eval.features.networks import network_names
from fhpt_eval.images.preparation import Color, Crop, Pad, Resize, Step
from fhpt_eval.metrics.registry import load_metric, metric_names
from fhpt_eval.protocol import (
    Protocol,
    load_protocol,
    parse_protocol,
    preset_names,
)

#: Changes only when a number that the preset gives changes: then results are not comparable.
FHPT_METRICS = "ssim psnr l1 brisque lpips fid kid is retrieval joints face_identity"
FHPT_DIGEST = "8cd18a8efc604345d310df78eec5f80e6429235055534d9c2f37fdf6228f524b"

STEPS: dict[type[Step], dict[str, Any]] = {
    Crop: {"step": "crop", "left": 1, "top": 1, "right": 20, "bottom": 30},
    Pad: {"step": "pad", "width": 300, "height": 400, "color": [9, 9, 9]},
    Resize: {"step": "resize", "width": 30, "height": 40, "kernel": "pil.bicubic"},
    Color: {"step": "color", "space": "grey"},
}


def toml(value: object) -> str:
    """Write a value as TOML: as JSON, but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value)


def parse(text: str) -> Protocol:
    """Parse the text of a protocol whose id does not matter."""
    return parse_protocol(f'id = "mine"\n{text}', "mine.toml")


def with_parameters(metric: str, **parameters: object) -> Protocol:
    """Return a protocol of one metric."""
    lines = (f"{name} = {toml(value)}\n" for name, value in parameters.items())
    return parse(f"[metrics.{metric}]\n" + "".join(lines))


def with_steps(*steps: dict[str, Any]) -> Protocol:
    """Return a protocol with this preparation."""
    return parse(f"prepare = {toml(list(steps))}\n[metrics.l1]")


def fault(text: str) -> str:
    """Return what is said of a protocol with a fault."""
    with pytest.raises(ProtocolError) as error:
        parse(text)
    message = str(error.value)
    assert message.startswith("mine.toml")
    for word in ("Traceback", "pydantic", "https://"):
        assert word not in message
    return message


#: Networks, and settings of theirs, which metrics take as texts.
NAMES = (*network_names(), "clean", "pose-transfer", "0.0", "0..1")


def other_values(metric: str, field: str) -> Iterator[object]:
    """Yield valid values of a metric's parameter, its default not among them."""
    annotation = load_metric(metric).model_fields[field].annotation
    choices = [value for part in (annotation, *get_args(annotation)) for value in get_args(part)]
    names = [value for value in choices if isinstance(value, str)]
    for value in (*names, *NAMES, True, False, 3, 5, 9, 0.25, 2.5, 64):
        try:
            protocol = with_parameters(metric, **{field: value})
        except ProtocolError:
            continue
        if getattr(protocol.entries[0].metric, field) != getattr(load_metric(metric)(), field):
            yield value


#: Where a file lies counts by its content, which the tests of such metrics show.
PARAMETERS = [
    (metric, field)
    for metric in metric_names()
    for field in load_metric(metric).model_fields
    if field not in load_metric(metric).by_content
]
#: Parameters that say something only beside another one.
DEPENDENT = {
    ("retrieval", "input_size"),
    ("retrieval", "input_mean"),
    ("retrieval", "input_std"),
    ("retrieval", "queries"),
    ("joints", "annotation_box"),
    ("joints", "outside"),
}


class TestPresets:
    def test_they_are_listed(self) -> None:
        assert "fhpt" in preset_names()
        assert preset_names() == sorted(preset_names())

    @pytest.mark.parametrize("name", preset_names())
    def test_each_loads_under_its_own_name_and_says_what_it_is(self, name: str) -> None:
        protocol = load_protocol(name)
        assert protocol.id == name
        assert protocol.title
        assert protocol.description
        assert protocol.entries

    def test_fhpt_scores_images_as_they_are(self) -> None:
        protocol = load_protocol("fhpt")
        assert " ".join(entry.name for entry in protocol.entries) == FHPT_METRICS
        assert all(entry.steps == () for entry in protocol.entries)

    def test_the_digest_of_fhpt_is_what_published_results_carry(self) -> None:
        assert load_protocol("fhpt").digest == FHPT_DIGEST

    def test_a_misspelt_preset_is_named_with_what_was_meant(self) -> None:
        with pytest.raises(ProtocolError) as error:
            load_protocol("fhtp")
        message = str(error.value)
        assert message.startswith("There is no protocol 'fhtp'. Did you mean 'fhpt'?")
        assert f"Shipped: {', '.join(preset_names())}." in message
        assert "A file of your own is given by its path." in message


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """The path of a protocol of one's own."""
        path = tmp_path / "mine.toml"
        path.write_text('id = "mine"\n[metrics.l1]\n')
        return path

    def test_a_file_is_given_by_its_path(self, path: Path) -> None:
        assert load_protocol(path).id == load_protocol(str(path)).id == "mine"

    def test_a_file_needs_no_ending(self, path: Path) -> None:
        assert load_protocol(path.rename(path.with_suffix(""))).id == "mine"

    def test_a_file_cannot_pass_for_a_preset(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.rename(path.with_name("fhpt"))
        monkeypatch.chdir(path.parent)
        assert load_protocol("fhpt").digest == FHPT_DIGEST
        assert load_protocol("./fhpt").id == "mine"
        assert load_protocol(Path("fhpt")).id == "mine"

    @pytest.mark.parametrize("name", ["none.toml", "some/where", "some/where.toml"])
    def test_a_missing_file_is_refused_by_its_path(self, name: str) -> None:
        with pytest.raises(ProtocolError, match=rf"no protocol file {name}\. Check the path"):
            load_protocol(name)

    def test_a_folder_is_no_protocol(self, tmp_path: Path) -> None:
        with pytest.raises(ProtocolError, match="There is no protocol"):
            load_protocol(tmp_path)

    def test_a_file_that_is_not_utf_8_is_refused(self, path: Path) -> None:
        path.write_bytes(b'id = "\xff"')
        with pytest.raises(ProtocolError, match=rf"^{path}, line 1: is not UTF-8 text"):
            load_protocol(path)

    def test_a_huge_file_is_refused_without_being_read(self, path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(MAX_BYTES + 1)
        with pytest.raises(
            ProtocolError, match=r"larger than 1,048,576 bytes\). Give a protocol file"
        ):
            load_protocol(path)

    def test_an_impossible_name_is_refused_like_a_missing_one(self) -> None:
        with pytest.raises(ProtocolError, match="There is no protocol"):
            load_protocol("x" * 300)


class TestFaults:
    def test_a_toml_error_is_told_with_its_line(self) -> None:
        message = fault("\n[metrics.ssim\n")
        assert message.startswith("mine.toml: is not valid TOML: ")
        assert "line" in message

    def test_endless_nesting_is_no_valid_toml(self) -> None:
        assert "is not valid TOML" in fault("x = " + "[" * 100_000)

    def test_an_endless_number_is_no_valid_toml(self) -> None:
        assert "is not valid TOML" in fault(f"[metrics.ssim]\nsize = {'9' * 5000}")

    def test_a_misspelt_key_at_the_top_is_named_with_what_was_meant(self) -> None:
        message = fault('titel = "x"\n[metrics.l1]')
        assert message == "mine.toml.titel: there is no such key. Did you mean 'title'?"

    def test_an_unknown_key_at_the_top_is_named_with_what_is_allowed(self) -> None:
        message = fault("zzz = 1\n[metrics.l1]")
        assert "mine.toml.zzz: there is no such key." in message
        assert "id, title, description, version, source, quirks, " in message

    def test_all_faults_at_the_top_are_listed(self) -> None:
        message = fault("titel = 1\nprepare = 2\n[metrics.l1]")
        assert len(message.splitlines()) == 2
        assert "mine.toml.prepare: " in message
        assert "mine.toml.titel: " in message

    def test_an_id_is_needed(self) -> None:
        with pytest.raises(ProtocolError, match=r"mine\.toml\.id: is missing"):
            parse_protocol("[metrics.l1]", "mine.toml")

    @pytest.mark.parametrize("name", ["", "My Protocol", "a/b", "../a", "-a", "a\n", "x" * 101])
    def test_an_id_can_stand_in_a_file_name(self, name: str) -> None:
        with pytest.raises(ProtocolError, match=r"mine\.toml\.id: "):
            parse_protocol(f"id = {toml(name)}\n[metrics.l1]", "mine.toml")

    @pytest.mark.parametrize("text", ["", "[metrics]"])
    def test_at_least_one_metric_is_needed(self, text: str) -> None:
        assert "mine.toml.metrics: " in fault(text)

    def test_a_misspelt_metric_is_named_with_what_was_meant_and_what_there_is(self) -> None:
        with pytest.raises(ProtocolError) as error:
            parse("[metrics.ssmi]")
        message = str(error.value)
        assert "There is no metric 'ssmi'. Did you mean 'ssim'?" in message
        for name in metric_names():
            assert name in message

    def test_an_unknown_metric_is_named_with_its_place(self) -> None:
        assert "metrics.grey" in fault('[metrics.grey]\nmetric = "ssmi"')

    def test_a_misspelt_parameter_is_named_with_what_was_meant(self) -> None:
        message = fault('[metrics.ssim]\nwindo = "gaussian"')
        assert "ssim.windo: there is no such key. Did you mean 'window'?" in message

    def test_an_unknown_parameter_is_named_with_what_is_allowed(self) -> None:
        message = fault("[metrics.ssim]\nzzz = 1")
        assert "ssim.zzz: there is no such key." in message
        assert "window, size, sigma, border, channels, data_range, sample_covariance" in message

    def test_a_metric_without_parameters_says_so(self) -> None:
        assert "Known here: none." in fault("[metrics.brisque]\nzzz = 1")

    def test_a_parameter_of_a_wrong_type_is_named_with_what_was_given(self) -> None:
        assert "ssim.sigma: Input should be a valid number (got '1.5')" in fault(
            '[metrics.ssim]\nsigma = "1.5"'
        )

    def test_a_wrong_choice_is_named_with_all_choices_and_what_was_meant(self) -> None:
        message = fault('[metrics.ssim]\nwindow = "gausian"')
        assert "ssim.window: must be 'gaussian' or 'uniform', not 'gausian'." in message
        assert message.endswith("Did you mean 'gaussian'?")

    def test_parameters_that_contradict_each_other_are_told(self) -> None:
        assert "size must be odd" in fault("[metrics.ssim]\nsize = 4")

    @pytest.mark.parametrize("value", ["nan", "inf", "-1.0"])
    def test_a_number_without_sense_is_refused(self, value: str) -> None:
        assert "ssim.sigma: " in fault(f"[metrics.ssim]\nsigma = {value}")

    def test_a_metric_is_a_table(self) -> None:
        assert "mine.toml.metrics.ssim: " in fault("[metrics]\nssim = 3")

    @pytest.mark.parametrize("line", ["metric = 3", "prepare = 3"])
    def test_metric_and_prepare_of_a_metric_have_their_types(self, line: str) -> None:
        assert "'metric' is a name and 'prepare' a list of steps" in fault(
            f"[metrics.ssim]\n{line}"
        )

    def test_a_misspelt_step_is_named_with_all_steps_and_what_was_meant(self) -> None:
        message = fault('prepare = [{step = "crop", right = 9, bottom = 9}, {step = "rezise"}]\n'
                        "[metrics.l1]")  # fmt: skip
        assert message == (
            "mine.toml: prepare[2]: step must be one of 'crop', 'pad', 'resize', 'color', "
            "'mask', not 'rezise'. Did you mean 'resize'?"
        )

    def test_a_step_of_one_metric_is_named_with_the_metric(self) -> None:
        message = fault("[metrics.l1]\nprepare = [{}]")
        assert message.startswith("mine.toml: metrics.l1.prepare[1]: step must be one of")

    def test_a_step_is_a_table(self) -> None:
        assert "prepare" in fault("prepare = [3]\n[metrics.l1]")

    def test_a_wrong_key_of_a_step_is_named_with_what_was_meant(self) -> None:
        message = fault('prepare = [{step = "pad", width = 9, heigth = 9}]\n[metrics.l1]')
        assert "prepare[1].height: is missing." in message
        assert "prepare[1].heigth: there is no such key. Did you mean 'height'?" in message

    def test_a_wrong_kernel_is_named_with_all_kernels(self) -> None:
        step = STEPS[Resize] | {"kernel": "bicubic"}
        message = fault(f"prepare = [{toml(step)}]\n[metrics.l1]")
        assert "prepare[1].kernel: must be 'pil.nearest', " in message
        assert "'cv2.area' or 'cv2.lanczos', not 'bicubic'." in message

    @pytest.mark.parametrize("name", ["SSIM", "1a", "a b", "a.b", "a[B]", "a[]", "=1", ""])
    def test_what_cannot_name_a_score_is_refused(self, name: str) -> None:
        message = fault(f'[metrics.{toml(name)}]\nmetric = "ssim"')
        assert f"'{name}' cannot name a score: use lower-case letters" in message

    @pytest.mark.parametrize("value", ["1", "-2", "true", "2.0", '"64"'])
    def test_the_size_of_a_batch_is_a_whole_number(self, value: str) -> None:
        message = fault(f"[metrics.l1]\ndrop_incomplete = {value}")
        assert "metrics.l1.drop_incomplete: is the size of a batch" in message

    def test_what_is_said_of_a_protocols_source_is_checked(self) -> None:
        message = fault('[metrics.l1]\n[source]\nrepository = "a/b"\ncomit = "c"')
        assert "source.comit: there is no such key. Did you mean 'commit'?" in message
        assert "source.files: is missing." in message

    def test_a_newline_cannot_end_the_name_of_a_score(self) -> None:
        assert "cannot name a score" in fault('[metrics."psnr\\n"]\nmetric = "psnr"')

    def test_a_step_whose_name_is_a_list_is_refused(self) -> None:
        assert "step must be one of" in fault('prepare = [{step = ["crop"]}]\n[metrics.l1]')

    def test_a_parameter_named_self_is_as_unknown_as_any_other(self) -> None:
        assert "there is no such key" in fault("[metrics.ssim]\nself = 1")


class TestDigest:
    def test_it_is_a_sha_256(self) -> None:
        digest = with_parameters("l1").digest
        assert len(digest) == 64
        assert int(digest, 16) >= 0

    def test_canonical_json_has_sorted_keys_and_no_white_space(self) -> None:
        import hashlib

        expected = hashlib.sha256(b'{"a":[1,2.5,null],"b":"x"}').hexdigest()
        assert digest_of({"b": "x", "a": [1, 2.5, None]}) == expected

    def test_what_is_no_number_has_no_digest(self) -> None:
        with pytest.raises(ValueError, match="JSON"):
            digest_of(float("nan"))

    @pytest.mark.parametrize(
        "text",
        [
            'id = "b"\n[metrics.ssim]\nsize = 9\nsigma = 2.0\n[metrics.psnr]',
            'id = "a"\ntitle = "T"\ndescription = "D"\n[metrics.ssim]\nsize = 9\nsigma = 2.0\n'
            "[metrics.psnr]",
            'id = "a"\nversion = 7\nquirks = ["Q."]\ncomparable_with = "C"\n[metrics.ssim]\n'
            "size = 9\nsigma = 2.0\n[metrics.psnr]\n"
            '[source]\nrepository = "a/b"\nfiles = ["c.py"]\ncommit = "d"',
            'id = "a"\n[metrics.psnr]\n[metrics.ssim]\nsigma = 2.0\nsize = 9',
            '\n\nid="a" # comment\n[metrics]\n  ssim = { size=9, sigma=2.0 }\n  psnr={}\n',
            'id = "a"\n[metrics.ssim]\nsize = 9\nsigma = 2\n[metrics.psnr]',
            'id = "a"\n[metrics.ssim]\nmetric = "ssim"\nsize = 9\nsigma = 2.0\nprepare = []\n'
            "[metrics.psnr]",
        ],
        ids=["id", "title", "for people", "order", "white space", "integer", "written out"],
    )
    def test_spelling_does_not_change_it(self, text: str) -> None:
        plain = 'id = "a"\n[metrics.ssim]\nsize = 9\nsigma = 2.0\n[metrics.psnr]'
        assert parse_protocol(text, "x").digest == parse_protocol(plain, "x").digest

    @pytest.mark.parametrize(("metric", "field"), PARAMETERS)
    def test_writing_a_default_out_does_not_change_it(self, metric: str, field: str) -> None:
        default = getattr(load_metric(metric)(), field)
        if default is not None:  # TOML cannot say None
            written = with_parameters(metric, **{field: default})
            assert written.digest == with_parameters(metric).digest

    def test_writing_out_what_an_open_parameter_stands_for_does_not_change_it(self) -> None:
        written = with_parameters("ssim", size=11, border=5, sample_covariance=False)
        assert written.digest == with_parameters("ssim").digest

    @pytest.mark.parametrize(
        ("metric", "field"),
        # What settings there are depends on the network; tests/metrics/test_networks.py has them.
        [p for p in PARAMETERS if p not in DEPENDENT and p[1] != "network_settings"],
    )
    def test_every_parameter_of_every_metric_changes_it(self, metric: str, field: str) -> None:
        digests = [
            with_parameters(metric, **{field: value}).digest
            for value in other_values(metric, field)
        ]
        # Some values say only what the default stands for.
        assert set(digests) - {with_parameters(metric).digest}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("input_size", [64, 48]),
            ("input_mean", [0.1, 0.2, 0.3]),
            ("input_std", [0.1, 0.2, 0.3]),
            ("annotation_box", [40, 0, 216, 256]),
            ("outside", "absent"),
            ("queries", "all"),
        ],
    )
    def test_a_parameter_changes_it_beside_the_one_that_it_goes_with(
        self, field: str, value: object, tmp_path: Path
    ) -> None:
        joints = "[" + ", ".join(["5"] * 18) + "]"
        (tmp_path / "points.csv").write_text(
            f"name:keypoints_y:keypoints_x\na.png: {joints}: {joints}\n"
        )
        partition = "1\nimage_name item_id evaluation_status\nimg/a.jpg id_00000001 query\n"
        (tmp_path / "partition.txt").write_text(partition)
        beside = {
            "retrieval": {"network": "resnet50", "partition": str(tmp_path / "partition.txt")},
            "joints": {"keypoints": str(tmp_path / "points.csv")},
        }
        (metric,) = (name for name, other in DEPENDENT if other == field)
        plain = with_parameters(metric, **beside[metric]).digest
        assert with_parameters(metric, **beside[metric], **{field: value}).digest != plain

    @pytest.mark.parametrize("step", STEPS)
    def test_every_parameter_of_every_step_changes_it(self, step: type[Step]) -> None:
        others: dict[str, object] = {
            "of": ["generated"],
            "left": 2, "top": 2, "right": 21, "bottom": 31,
            "width": 301, "height": 401,
            "color": [9, 9, 8],
            "kernel": "torch.bicubic",
            "result": "float",
            "when_width": 256,
        }  # fmt: skip
        fields = set(step.model_fields) - {"step", "space"}  # these have no other value
        digests = {with_steps(STEPS[step] | {field: others[field]}).digest for field in fields}
        assert len(digests | {with_steps(STEPS[step]).digest}) == len(fields) + 1

    def test_which_steps_there_are_changes_it_and_their_order_too(self) -> None:
        steps = list(STEPS.values())
        digests = {
            with_steps(*chosen).digest
            for count in range(3)
            for chosen in itertools.permutations(steps, count)
        }
        assert len(digests) == 1 + 4 + 12

    def test_the_order_of_a_steps_sides_does_not_change_it(self) -> None:
        one, other = (
            with_steps(STEPS[Crop] | {"of": sides}).digest
            for sides in (["generated", "source"], ["source", "generated"])
        )
        assert one == other

    def test_writing_out_that_a_step_concerns_all_sides_does_not_change_it(self) -> None:
        written = STEPS[Crop] | {"of": ["generated", "ground_truth", "source"]}
        assert with_steps(written).digest == with_steps(STEPS[Crop]).digest

    def test_common_steps_are_those_of_every_metric(self) -> None:
        crop, pad = toml(STEPS[Crop]), toml(STEPS[Pad])
        common = parse(f"prepare = [{crop}]\n[metrics.l1]\n[metrics.psnr]\nprepare = [{pad}]")
        each = parse(f"[metrics.l1]\nprepare = [{crop}]\n[metrics.psnr]\nprepare = [{crop}, {pad}]")
        assert common.digest == each.digest

    def test_leaving_out_incomplete_batches_changes_it(self) -> None:
        digests = {parse(f"[metrics.l1]\ndrop_incomplete = {n}").digest for n in (0, 8, 64)}
        assert len(digests) == 3
        assert parse("[metrics.l1]").digest in digests, "0 is what the default stands for"

    def test_which_metrics_there_are_changes_it(self) -> None:
        texts = ("[metrics.l1]", "[metrics.psnr]", "[metrics.l1]\n[metrics.psnr]")
        assert len({parse(text).digest for text in texts}) == 3

    def test_the_names_of_scores_change_it(self) -> None:
        assert parse('[metrics.first]\nmetric = "l1"').digest != parse("[metrics.l1]").digest

    def test_learned_figures_stand_in_it(self) -> None:
        entries = {entry.name: entry.canonical() for entry in load_protocol("fhpt").entries}
        assert entries["brisque"]["weights"]
        assert not entries["psnr"]["weights"]


class TestEntries:
    def test_a_metric_may_stand_twice_under_different_names(self) -> None:
        protocol = parse(
            '[metrics.ssim]\n[metrics."ssim[uniform]"]\nwindow = "uniform"\n'
            '[metrics.ssim_grey]\nmetric = "ssim"\nchannels = "grey"'
        )
        found = {entry.name: entry.metric.model_dump() for entry in protocol.entries}
        assert [entry.metric.name for entry in protocol.entries] == ["ssim"] * 3
        assert found["ssim"]["window"] == found["ssim_grey"]["window"] == "gaussian"
        assert found["ssim[uniform]"]["window"] == "uniform"
        assert found["ssim_grey"]["channels"] == "grey"

    def test_metrics_keep_the_files_order(self) -> None:
        protocol = parse("[metrics.psnr]\n[metrics.l1]\n[metrics.ssim]")
        assert [entry.name for entry in protocol.entries] == ["psnr", "l1", "ssim"]

    def test_a_metrics_own_steps_follow_the_common_ones(self) -> None:
        protocol = parse(
            f"prepare = [{toml(STEPS[Crop])}]\n[metrics.l1]\n"
            f"[metrics.psnr]\nprepare = [{toml(STEPS[Pad])}]"
        )
        steps = {entry.name: [type(step) for step in entry.steps] for entry in protocol.entries}
        assert steps == {"l1": [Crop], "psnr": [Crop, Pad]}

    def test_every_step_can_be_written_in_a_file(self) -> None:
        (entry,) = with_steps(*STEPS.values()).entries
        assert [type(step) for step in entry.steps] == list(STEPS)
        for step, table in zip(entry.steps, STEPS.values(), strict=True):
            assert step.model_dump(mode="json").items() >= table.items()


class TestWithMetrics:
    def test_a_subset_keeps_the_protocol_and_its_digest(self) -> None:
        protocol = load_protocol("fhpt")
        chosen, names = protocol.with_metrics(["l1", "ssim"])
        assert (chosen.id, chosen.digest) == ("fhpt", FHPT_DIGEST)
        assert names == ("l1", "ssim")

    def test_a_name_given_twice_counts_once(self) -> None:
        assert load_protocol("fhpt").with_metrics(["l1", "l1"])[1] == ("l1",)

    def test_an_addition_shows_in_the_id_and_changes_the_digest(self) -> None:
        protocol = parse("[metrics.ssim]")
        extended, names = protocol.with_metrics(["psnr", "ssim", "l1"])
        assert extended.id == "mine+l1+psnr"
        assert extended.digest != protocol.digest
        assert names == ("psnr", "ssim", "l1")

    def test_additions_in_any_order_are_the_same_protocol(self) -> None:
        protocol = parse("[metrics.ssim]")
        one, other = (protocol.with_metrics(names)[0] for names in (["psnr", "l1"], ["l1", "psnr"]))
        assert (one.id, one.digest) == (other.id, other.digest)

    def test_an_addition_is_what_an_empty_table_in_the_file_is(self) -> None:
        extended, _ = parse("[metrics.ssim]").with_metrics(["l1"])
        assert extended.digest == parse("[metrics.ssim]\n[metrics.l1]").digest

    def test_an_addition_sees_images_prepared_like_all_others(self) -> None:
        prepare = f"prepare = [{toml(STEPS[Resize])}]\n"
        extended, _ = parse(f"{prepare}[metrics.ssim]").with_metrics(["l1"])
        assert extended.digest == parse(f"{prepare}[metrics.ssim]\n[metrics.l1]").digest

    def test_the_protocol_itself_is_left_as_it_is(self) -> None:
        protocol = parse("[metrics.ssim]")
        before = protocol.digest
        protocol.with_metrics(["l1"])
        assert (protocol.id, protocol.digest) == ("mine", before)

    def test_an_unknown_metric_is_named_with_what_there_is(self) -> None:
        with pytest.raises(
            ProtocolError,
            match=r"There is no metric 'zzz'\. In protocol mine: ssim\. Installed: brisque",
        ):
            parse("[metrics.ssim]").with_metrics(["zzz"])

    def test_a_variant_that_the_protocol_lacks_is_not_made_up(self) -> None:
        protocol = parse('[metrics."ssim[uniform]"]\nwindow = "uniform"')
        with pytest.raises(ProtocolError, match=r"ssim\[unifrom\]"):
            protocol.with_metrics(["ssim[unifrom]"])

    def test_a_name_of_the_protocols_own_is_suggested(self) -> None:
        protocol = parse('[metrics.greyness]\nmetric = "ssim"\nchannels = "grey"')
        with pytest.raises(ProtocolError, match="Did you mean 'greyness'"):
            protocol.with_metrics(["greynes"])

    def test_a_suggestion_is_made_once(self) -> None:
        with pytest.raises(ProtocolError) as error:
            load_protocol("fhpt").with_metrics(["ssmi"])
        assert str(error.value).count("Did you mean") == 1

    @pytest.mark.parametrize("name", ["retrieval", "fid", "face_identity"])
    def test_a_metrics_name_means_the_protocols_entry_of_that_metric(self, name: str) -> None:
        protocol = load_protocol("mannequin")
        chosen, names = protocol.with_metrics([name])
        assert names == (f"{name}[mannequin]",)
        assert (chosen.id, chosen.digest) == (protocol.id, protocol.digest)

    def test_an_entry_of_another_name_is_meant_by_its_metric_too(self) -> None:
        protocol = parse('[metrics.greyness]\nmetric = "ssim"\nchannels = "grey"')
        assert protocol.with_metrics(["ssim", "greyness"]) == (protocol, ("greyness",))

    def test_the_entry_of_the_very_name_is_meant_whatever_others_there_are(self) -> None:
        assert load_protocol("cfld-256").with_metrics(["ssim"])[1] == ("ssim",)

    @pytest.mark.parametrize(
        "use", [lambda p: p.with_metrics(["ssim"]), lambda p: p.with_setting("ssim.sigma", 1.3)]
    )
    def test_a_name_that_means_several_entries_is_refused_and_they_are_named(
        self, use: Callable[[Protocol], object]
    ) -> None:
        protocol = parse('[metrics."ssim[a]"]\n[metrics."ssim[b]"]\nsigma = 1.2')
        with pytest.raises(ProtocolError, match=r"ssim in 2 ways: ssim\[a\], ssim\[b\]\. Give"):
            use(protocol)

    def test_a_setting_of_a_metric_reaches_the_entry_that_is_meant(self) -> None:
        protocol = load_protocol("mannequin")
        changed = protocol.with_setting("is.splits", 2)
        assert changed.id == "mannequin+is[mannequin].splits"
        assert [e.name for e in changed.entries] == [e.name for e in protocol.entries]
        assert changed.digest == protocol.with_setting("is[mannequin].splits", 2).digest
