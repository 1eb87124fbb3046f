"""Plugins of any kind: packages that are installed for real in a folder of the test's own."""

from __future__ import annotations

import sys

import pytest

from fhpt_eval.common.plugins import Group
from fhpt_eval.errors import InputError, ProtocolError
from tests.support.plugins import Install

GROUP = "fhpt_eval.test_colours"


def fault(plugin: object, name: str) -> str:
    """A colour is a text that begins with its name."""
    return "" if isinstance(plugin, str) and plugin.startswith(name) else f"is not called {name}"


COLOURS = Group(GROUP, "colour", fault=fault)


@pytest.fixture
def paint(install: Install) -> Install:
    """Return a function that installs a package with one colour."""

    def paint(package: str, name: str, code: str, folder: str = "site") -> None:
        install(package, name, f"{package}:COLOUR", code, folder, GROUP)

    return paint


def refusal(name: str, colours: Group = COLOURS) -> str:
    """Return why a plugin cannot be loaded."""
    with pytest.raises(InputError) as error:
        colours.load(name)
    return str(error.value)


def test_an_installed_plugin_is_found_by_its_name(paint: Install) -> None:
    paint("plugin_red", "red", "COLOUR = 'red as a rose'")
    assert COLOURS.names() == ["red"]
    assert COLOURS.load("red") == "red as a rose"
    assert COLOURS.distribution("red") == ("plugin_red", "1.2")


def test_names_are_sorted(paint: Install) -> None:
    paint("plugin_red", "red", "", "one")
    paint("plugin_blue", "blue", "", "two")
    assert COLOURS.names() == ["blue", "red"]


def test_listing_the_names_imports_nothing(paint: Install) -> None:
    paint("plugin_trap", "trap", "raise SystemExit('was imported')")
    assert COLOURS.names() == ["trap"]
    assert "plugin_trap" not in sys.modules


def test_a_misspelt_name_is_answered_with_what_was_meant_and_what_there_is(
    paint: Install,
) -> None:
    paint("plugin_crimson", "crimson", "", "one")
    paint("plugin_blue", "blue", "", "two")
    assert refusal("crimsom") == (
        "There is no colour 'crimsom'. Did you mean 'crimson'? Installed: blue, crimson."
    )


def test_what_else_may_be_named_stands_behind_what_there_is(paint: Install) -> None:
    paint("plugin_blue", "blue", "")
    mixed = Group(GROUP, "colour", also="; also mixed:A+B")
    assert refusal("x", mixed) == "There is no colour 'x'. Installed: blue; also mixed:A+B."


def test_a_kind_without_plugins_says_so(paint: Install) -> None:
    assert refusal("red") == "There is no colour 'red'. Installed: none."


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("this is no Python", "SyntaxError: "),
        ("OTHER = 1", "AttributeError: "),
    ],
)
def test_one_that_cannot_be_imported_is_named_with_its_package_and_the_error(
    paint: Install, code: str, error: str
) -> None:
    paint("plugin_broken", "broken", code)
    message = refusal("broken")
    assert message.startswith(
        "Colour 'broken' of plugin_broken 1.2 cannot be imported from plugin_broken:COLOUR: "
    )
    assert error in message


def test_one_that_cannot_be_imported_leaves_the_others_alone(paint: Install) -> None:
    paint("plugin_broken", "broken", "import no_such_package", "one")
    paint("plugin_red", "red", "COLOUR = 'red'", "two")
    assert COLOURS.load("red") == "red"


def test_what_fails_its_kinds_check_is_refused_with_the_reason(paint: Install) -> None:
    paint("plugin_red", "red", "COLOUR = 'blue'")
    assert refusal("red") == (
        "Colour 'red' of plugin_red 1.2: plugin_red:COLOUR is not called red."
    )


def test_a_kind_chooses_its_error(paint: Install) -> None:
    with pytest.raises(ProtocolError):
        Group(GROUP, "colour", ProtocolError).load("red")


def test_a_name_that_two_packages_claim_is_refused_with_both(paint: Install) -> None:
    paint("plugin_one", "red", "COLOUR = 'red'", "one")
    paint("plugin_two", "red", "COLOUR = 'red'", "two")
    message = refusal("red")
    assert message.startswith("Colour 'red' is claimed by ")
    assert "plugin_one 1.2 (plugin_one:COLOUR)" in message
    assert "plugin_two 1.2 (plugin_two:COLOUR)" in message
    assert message.endswith("; uninstall one of them.")


def test_one_package_seen_twice_claims_its_name_once(paint: Install) -> None:
    for folder in ("one", "two"):
        paint("plugin_red", "red", "COLOUR = 'red'", folder)
    assert COLOURS.load("red") == "red"
