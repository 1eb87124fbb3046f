"""The example metric conforms, and equals its formula."""

from colorfulness_gap import ColorfulnessGap
from fhpt_eval.testing import check_metric, textures


def test_the_example_metric_conforms() -> None:
    check_metric(ColorfulnessGap())


def test_a_grey_image_has_no_colourfulness() -> None:
    _, truth = textures()
    grey = truth[:, :1].expand_as(truth)
    alone = ColorfulnessGap()(truth, grey)
    assert (alone > 1).all()
    assert ColorfulnessGap()(grey, grey.flip(-1)).abs().max() < 1e-9
