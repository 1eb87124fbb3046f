"""Plugins: metrics of other packages, installed for real in a folder of the test's own."""

from __future__ import annotations

import pytest

from fhpt_eval.errors import ProtocolError
from fhpt_eval.metrics import ImageMetric, Metric
from fhpt_eval.metrics.registry import load_metric, metric_distribution, metric_names
from fhpt_eval.protocol import parse_protocol
from tests.support.plugins import Install

BUILT_IN = {"brisque", "l1", "psnr", "ssim"}
BRIGHTNESS = '''
from fhpt_eval.metrics import ImageMetric

class Brightness(ImageMetric):
    """Mean level."""

    name = "brightness"
    title = "Brightness"
    direction = "higher"
    range = (0.0, 1.0)

    def measure(self, images):
        return images.double().mean(dim=(1, 2, 3)) / 255
'''


def refusal(name: str) -> str:
    """Return why a metric cannot be loaded."""
    with pytest.raises(ProtocolError) as error:
        load_metric(name)
    return str(error.value)


class TestBuiltIn:
    def test_they_are_listed_in_order(self) -> None:
        assert set(metric_names()) >= BUILT_IN
        assert metric_names() == sorted(metric_names())

    @pytest.mark.parametrize("name", sorted(BUILT_IN))
    def test_each_is_a_metric_under_its_own_name(self, name: str) -> None:
        metric = load_metric(name)
        assert issubclass(metric, Metric)
        assert metric.name == name

    def test_they_come_with_our_own_package(self) -> None:
        package, version = metric_distribution("ssim")
        assert package == "fhpt-eval"
        assert version

    def test_a_misspelt_name_is_answered_with_what_was_meant(self) -> None:
        message = refusal("ssmi")
        assert message.startswith("There is no metric 'ssmi'. Did you mean 'ssim'?")
        assert (
            "Installed: brisque, face_identity, fid, fid_infinity, is, joints, kid, l1," in message
        )

    def test_a_name_like_no_other_is_answered_with_what_there_is(self) -> None:
        message = refusal("zzzzzz")
        assert message.startswith("There is no metric 'zzzzzz'. Installed: ")

    @pytest.mark.parametrize("name", ["", "SSIM", "ssim ", "fhpt_eval.metrics.ssim:SSIM"])
    def test_only_the_exact_name_is_a_metrics(self, name: str) -> None:
        assert f"There is no metric '{name}'" in refusal(name)


class TestPlugins:
    def test_an_installed_metric_is_found_like_our_own(self, install: Install) -> None:
        install("plugin_brightness", "brightness", "plugin_brightness:Brightness", BRIGHTNESS)
        assert set(metric_names()) >= BUILT_IN | {"brightness"}
        assert issubclass(load_metric("brightness"), ImageMetric)
        assert metric_distribution("brightness") == ("plugin_brightness", "1.2")

    def test_it_can_stand_in_a_protocol(self, install: Install) -> None:
        install("plugin_brightness", "brightness", "plugin_brightness:Brightness", BRIGHTNESS)
        protocol = parse_protocol('id = "mine"\n[metrics.brightness]', "mine.toml")
        assert protocol.canonical()["metrics"]["brightness"]["metric"] == "brightness"

    def test_it_is_suggested_for_a_misspelling(self, install: Install) -> None:
        install("plugin_brightness", "brightness", "plugin_brightness:Brightness", BRIGHTNESS)
        assert "Did you mean 'brightness'?" in refusal("brigthness")

    @pytest.mark.parametrize("code", ["Thing = 3", "class Thing: pass", "def Thing(): pass"])
    def test_what_is_no_metric_is_refused(self, install: Install, code: str) -> None:
        install("plugin_thing", "thing", "plugin_thing:Thing", code)
        assert refusal("thing") == (
            "Metric 'thing' of plugin_thing 1.2: plugin_thing:Thing is not a subclass of "
            "fhpt_eval.metrics.Metric."
        )

    @pytest.mark.parametrize("line", ["", '    name = "lightness"\n'])
    def test_a_metric_that_does_not_bear_its_entry_points_name_is_refused(
        self, install: Install, line: str
    ) -> None:
        code = BRIGHTNESS.replace('    name = "brightness"\n', line)
        install("plugin_half", "brightness", "plugin_half:Brightness", code)
        message = refusal("brightness")
        assert message.startswith("Metric 'brightness' of plugin_half 1.2: ")
        assert "name" in message.partition("Brightness")[2]

    def test_a_metric_that_lacks_its_function_is_refused(self, install: Install) -> None:
        code = BRIGHTNESS.replace("def measure(", "def mesure(")
        install("plugin_half", "brightness", "plugin_half:Brightness", code)
        with pytest.raises(ProtocolError, match="measure"):
            parse_protocol('id = "mine"\n[metrics.brightness]', "mine.toml")

    @pytest.mark.parametrize("attribute", ["title", "direction"])
    def test_a_metric_without_title_or_direction_is_refused(
        self, install: Install, attribute: str
    ) -> None:
        code = BRIGHTNESS.replace(f"    {attribute} = ", "    _other = ")
        install("plugin_half", "brightness", "plugin_half:Brightness", code)
        assert attribute in refusal("brightness")

    def test_nobody_takes_over_one_of_our_names_in_silence(self, install: Install) -> None:
        install("plugin_ssim", "ssim", "plugin_ssim:Brightness", BRIGHTNESS)
        message = refusal("ssim")
        assert "fhpt-eval" in message
        assert "plugin_ssim 1.2" in message
