"""Settings in words: parameters of metrics and steps have some, and unknown ones are spelt out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from fhpt_eval.common.words import Known, Words, fill, listed, named_in, phrase, text
from fhpt_eval.images.preparation import Color, Crop, Pad, Resize, Step
from fhpt_eval.metrics.registry import load_metric, metric_distribution, metric_names
from fhpt_eval.protocol.diff import in_words

BUILT_IN = [name for name in metric_names() if metric_distribution(name)[0] == "fhpt-eval"]


def told_in(words: Words) -> set[str]:
    """Return the parameters that a sentence under "" names."""
    sentence = words.get("", "")
    return named_in(sentence) if isinstance(sentence, str) else set()


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_parameter_of_a_built_in_metric_has_words(name: str) -> None:
    metric = load_metric(name)()
    assert set(metric.canonical()) <= set(metric.words)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_choice_of_a_built_in_metric_has_words(name: str) -> None:
    metric = load_metric(name)()
    for parameter, field in type(metric).model_fields.items():
        template = metric.words.get(parameter)
        if isinstance(template, dict) and "" not in template:
            allowed = {one for one in get_args(field.annotation) if isinstance(one, str)}
            assert allowed <= set(template), parameter


@pytest.mark.parametrize("name", BUILT_IN)
def test_templates_name_parameters_alone(name: str) -> None:
    metric = load_metric(name)()
    for template in metric.words.values():
        for one in [template] if isinstance(template, str) else template.values():
            assert named_in(one) <= set(metric.canonical())


@pytest.mark.parametrize("step", Step.__subclasses__(), ids=lambda step: step.__name__)
def test_every_parameter_of_a_step_is_in_its_sentence_or_has_words(step: type[Step]) -> None:
    told = told_in(step.words) | set(step.words)
    assert set(step.model_fields) - {"step", "of"} <= told


STEPS = [
    (Crop(left=40, right=216, bottom=256), "keeps columns 40 to 216 and rows 0 to 256"),
    (Pad(width=256, height=256), "pads to 256 x 256 with white"),
    (Pad(width=9, height=7, color=(1, 2, 3)), "pads to 9 x 7 with the RGB colour (1, 2, 3)"),
    (
        Resize(width=176, height=256, kernel="pil.bicubic", of=("generated",)),
        "resizes to 176 x 256 with Pillow's bicubic kernel (generated images alone)",
    ),
    (
        Resize(width=176, height=256, kernel="torch.bilinear"),
        "resizes to 176 x 256 with torch's bilinear kernel (not antialiased)",
    ),
    (Color(space="grey"), "turns grey (BT.601 luma)"),
]


@pytest.mark.parametrize(("step", "sentence"), STEPS, ids=[text for _, text in STEPS])
def test_a_step_is_a_sentence(step: Step, sentence: str) -> None:
    assert in_words([step]) == sentence


def test_steps_are_told_in_their_order() -> None:
    steps = [Color(space="grey"), Pad(width=8, height=8)]
    assert in_words(steps) == "turns grey (BT.601 luma), then pads to 8 x 8 with white"
    assert in_words([]) == "takes images as they are"


class Blur(Step):
    """A step that brings no words."""

    step: Literal["blur"] = "blur"
    radius: float = 1.5
    keep_edges: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def apply(self, pixels: Any) -> Any:
        return pixels


def test_a_step_without_words_is_spelt_out() -> None:
    Blur.words = {}
    assert in_words([Blur()]) == "applies the step blur (radius 1.5 and no keep edges)"


def test_what_a_steps_sentence_leaves_out_follows_it() -> None:
    Blur.words = {"": "blurs by {radius} pixels"}
    assert in_words([Blur(keep_edges=True)]) == "blurs by 1.5 pixels (keep edges)"
    one_side = Blur(keep_edges=True, of=("source",))
    assert in_words([one_side]) == "blurs by 1.5 pixels (keep edges; source images alone)"


def known() -> list[tuple[str, Known]]:
    classes: list[Any] = [*Step.__subclasses__(), *(load_metric(name) for name in BUILT_IN)]
    return [(one.__name__, fact) for one in classes for fact in one.known]


@pytest.mark.parametrize("fact", [fact for _, fact in known()], ids=[name for name, _ in known()])
def test_what_is_known_stands_with_its_source_in_the_traps(fact: Known) -> None:
    traps = (Path(__file__).parents[2] / "docs" / "traps.md").read_text()
    assert fact.source == "docs/traps.md"
    figures = re.findall(r"[+-]?\d+\.\d+", fact.told)
    assert figures
    assert all(figure in traps for figure in figures)


def test_something_is_known_of_two_values_in_either_order_and_of_no_others() -> None:
    fact = Known({"size": (11, 13), "window": ("g", "g")}, "")
    small, large = {"size": 11, "window": "g", "more": 1}, {"size": 13, "window": "g"}
    assert fact.fits(small, large)
    assert fact.fits(large, small)
    assert not fact.fits(small, small)
    assert not fact.fits(small, {"size": 13, "window": "u"})
    assert Known({"size": (11,)}, "").fits(small)
    assert not Known({"size": (11,)}, "").fits(large)


VALUES = [
    (1.5, "some scale 1.5"),
    ("a", "some scale a"),
    (True, "some scale"),
    (False, "no some scale"),
    (None, "no some scale"),
    ([1, 2], "some scale 1, 2"),
    ({"a": 1}, 'some scale {"a": 1}'),
]


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_a_parameter_without_words_is_spelt_out(value: object, expected: str) -> None:
    assert phrase({}, {"some_scale": value}, "some_scale") == expected


def test_a_phrase_may_depend_on_the_value_and_name_others() -> None:
    words: Words = {"size": {"3": "the smallest window", "": "{size} of {total}", "null": ""}}
    assert phrase(words, {"size": 3, "total": 9}, "size") == "the smallest window"
    assert phrase(words, {"size": 5, "total": 9}, "size") == "5 of 9"
    assert phrase(words, {"size": None, "total": 9}, "size") == ""


def test_a_value_that_has_no_phrase_of_its_own_is_spelt_out() -> None:
    assert phrase({"net": {"alex": "AlexNet"}}, {"net": "vgg"}, "net") == "net vgg"


def test_braces_in_a_value_are_left_alone() -> None:
    assert fill("the {name}", {"name": "{other}"}) == "the {other}"


def test_lists_have_a_word_before_the_last() -> None:
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert text((0.1, 2)) == "0.1, 2"
