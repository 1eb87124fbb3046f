"""What does not go together is refused before any work, and no metric can forget a check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import fhpt_eval
from fhpt_eval.errors import InputError
from fhpt_eval.images.preparation import Resize
from fhpt_eval.metrics import Shown
from fhpt_eval.metrics.base import check_shown
from fhpt_eval.protocol import Entry, Protocol
from tests.support.photographs import PairFolders
from tests.support.toy_features import ColourGap

Maker = Callable[..., PairFolders]

FLOATS = Resize(width=40, height=40, kernel="torch.bilinear", result="float")


def run(folders: PairFolders, metric: Any, *steps: Any, **options: Any) -> Any:
    protocol = Protocol("toy", "", "", steps, (Entry(metric.name, metric, steps),))
    return fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, protocol=protocol, name="ours", **options
    )


class Strict(ColourGap):
    """A metric with a check of its own, beside that of its base class."""

    name: ClassVar[str] = "strict"
    checks: ClassVar[tuple[Callable[[Any, Shown], None], ...]] = ()


def _refuse_many(metric: Strict, shown: Shown) -> None:
    if len(shown.names) > 2:
        raise InputError(f"{metric.name} takes two images, not {len(shown.names)}")


Strict.checks = (_refuse_many,)


def test_floats_are_refused_before_any_work_with_metric_step_and_cure(make_pairs: Maker) -> None:
    with pytest.raises(InputError, match=r"colour_gap takes 8-bit.*'float'.*of its own"):
        run(make_pairs(3), ColourGap(), FLOATS)


def test_a_check_of_its_own_takes_none_of_the_base_class_away(make_pairs: Maker) -> None:
    with pytest.raises(InputError, match="strict takes two images, not 3"):
        run(make_pairs(3), Strict())
    with pytest.raises(InputError, match="strict takes 8-bit images"):
        run(make_pairs(2, root="two"), Strict(), FLOATS)


def test_checks_run_from_the_base_class_down() -> None:
    heard: list[str] = []

    class Base(ColourGap):
        checks: ClassVar[Any] = (lambda _, __: heard.append("base"),)

    class Derived(Base):
        checks: ClassVar[Any] = (lambda _, __: heard.append("derived"),)

    check_shown(Derived(), Shown((), (), np.zeros((0, 2), np.int64)))
    assert heard == ["base", "derived"]


def test_what_is_refused_writes_no_result(make_pairs: Maker, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(make_pairs(3), Strict(), out=tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.partial"))
    assert not (tmp_path / "out" / "result.json").exists()
