"""The shape of the package: imports point one way, names are as listed, docs agree with code."""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import re
from functools import cached_property
from pathlib import Path

import click
import pytest

import fhpt_eval
from fhpt_eval.metrics.registry import load_metric, metric_distribution, metric_names
from fhpt_eval.protocol import parse_protocol, preset_names

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fhpt_eval"

#: Rooms from the bottom up; a module may import from its own room and from those below it.
ROOMS = [
    {"_version", "errors"},
    {"common"},
    {"images", "weights"},
    {"keypoints", "pairs"},
    {"result"},
    {"features"},
    {"metrics"},
    {"protocol"},
    {"evaluation"},
    {"benchmarks", "reference_models", "testing"},
    {"leaderboard"},
    {"cli"},
    {"__main__"},
]
#: Rooms that make images, as any method does, and must not know how they are scored.
MAKERS = {"benchmarks", "reference_models"}
SCORING = {"metrics", "testing", "protocol", "evaluation", "leaderboard", "result"}
#: Rooms that read results only, and must not know how they came about.
READERS = {"leaderboard": {"errors", "result", "common", "leaderboard"}}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def imports(path: Path) -> set[str]:
    """Return the rooms that a module imports from, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "fhpt_eval":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fhpt_eval."):
            found.add(room_of(node.module or ""))
        elif isinstance(node, ast.Import):
            found |= {room_of(a.name) for a in node.names if a.name.startswith("fhpt_eval.")}
    return found - {""}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    level = next(at for at, room in enumerate(ROOMS) if own in room)
    allowed = set().union(*ROOMS[:level]) | {own}
    if own in READERS:
        allowed = READERS[own]
    if own in MAKERS:
        allowed -= SCORING
    assert imports(path) <= allowed


def test_every_module_belongs_to_a_room() -> None:
    named = set().union(*ROOMS)
    assert {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in modules()} == named


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def is_a_default(kind: type, name: str) -> bool:
    """Whether a function in a class is what a field of it has by default."""
    return name in getattr(kind, "__dataclass_fields__", ())


def undocumented(path: Path) -> list[str]:
    """Return the public methods and properties of a module that have no docstring of their own.

    Nor, as an overriding one may, of a base class.
    """
    if path.stem == "__main__":
        return []  # it runs when it is imported, and has no class
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    classes = [kind for kind in vars(module).values() if isinstance(kind, type)]
    return [
        f"{kind.__name__}.{method}"
        for kind in classes
        if kind.__module__ == name and not kind.__name__.startswith("_")
        for method, value in vars(kind).items()
        if not method.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, property | cached_property))
        and not is_a_default(kind, method)
        and not inspect.getdoc(getattr(kind, method))
    ]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_public_method_says_what_it_does_or_overrides_one_that_does(path: Path) -> None:
    assert not undocumented(path)


def front_doors() -> list[str]:
    """Return the packages that hand names on to users and to other rooms."""
    files = [path for path in PACKAGE.rglob("__init__.py") if "__all__ = " in path.read_text()]
    return sorted(".".join(path.parent.relative_to(ROOT).parts) for path in files)


def handed_on(package: str) -> set[str]:
    """Return the public names that a package defines, or imports from its own modules.

    Variables of types are annotations, and no use to anybody else.
    """
    names: set[str] = set()
    statements = ast.parse((ROOT.joinpath(*package.split(".")) / "__init__.py").read_text()).body
    while statements:
        node = statements.pop()
        if isinstance(node, ast.If):  # TYPE_CHECKING: names that are imported when first used
            statements += node.body
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{package}."):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and "TypeVar(" not in ast.unparse(node):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("package", front_doors())
def test_public_names_equal_all(package: str) -> None:
    module = importlib.import_module(package)
    assert handed_on(package) == set(module.__all__) - {"__version__"}
    assert all(hasattr(module, name) for name in module.__all__)


def test_every_package_that_others_use_by_its_name_says_what_it_hands_on() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        package = ".".join(path.parent.relative_to(ROOT).parts)
        assert package in front_doors() or not handed_on(package), package


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        _ = fhpt_eval.evaluat


def test_no_module_names_a_metric_but_its_own() -> None:
    """The engine, the command line and the leaderboard treat all metrics alike."""
    names = "|".join(["ssim", "psnr", "l1", "brisque"])
    for path in modules():
        if "metrics" in path.parts or path.name == "naming.py":
            continue
        code = "\n".join(
            ast.unparse(node)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Compare)
        )
        assert not re.search(rf"['\"]({names})['\"]", code), path


def built_in() -> list[str]:
    return [name for name in metric_names() if metric_distribution(name)[0] == "fhpt-eval"]


def card(name: str) -> dict[str, str]:
    """Return the rows of the table that a metric's card begins with."""
    text = (ROOT / "docs" / "metrics" / f"{name}.md").read_text()
    return {
        cells[0]: cells[1]
        for cells in (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in text.split("\n## ")[0].splitlines()
            if line.startswith("|")
        )
    }


@pytest.mark.parametrize("name", built_in())
def test_a_metrics_card_agrees_with_its_class(name: str) -> None:
    metric, rows = load_metric(name), card(name)
    assert rows["Name"] == f"`{name}`" == f"`{metric.name}`"
    assert rows["Title"] == metric.title
    assert rows["Direction"] == f"{metric.direction} is better"
    low, high = metric.range
    assert rows["Range"] == f"[{low:g}, {high:g}]"
    needs = ", ".join(sorted(metric.needs)).replace("_", " ")
    assert rows["Needs"] == (needs or "generated images only")
    parameters = ", ".join(f"`{field}`" for field in metric.model_fields)
    assert rows["Parameters"] == (parameters or "none")


@pytest.mark.parametrize("name", built_in())
def test_the_readme_lists_each_metric_with_its_direction(name: str) -> None:
    metric = load_metric(name)
    arrow = "↑" if metric.direction == "higher" else "↓"
    line = f"| [`{name}`](docs/metrics/{name}.md) {arrow} |"
    assert line in (ROOT / "README.md").read_text()


def test_every_metric_has_a_module_a_test_and_a_card() -> None:
    for name in built_in():
        assert load_metric(name).__module__.startswith("fhpt_eval.metrics.")
        assert (ROOT / "tests" / "metrics" / f"test_{name}.py").is_file()
        assert (ROOT / "docs" / "metrics" / f"{name}.md").is_file()
        assert not math.isnan(load_metric(name).range[0])


def test_every_option_of_run_is_in_the_readme_or_in_its_docs() -> None:
    from fhpt_eval.cli.run import run

    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    for parameter in run.get_params(click.Context(run)):
        option = max(parameter.opts, key=len)
        assert option in text, option


def test_every_preset_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "protocols.md").read_text()
    assert all(f"`{name}`" in text for name in preset_names())


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_protocol_in_the_docs_is_valid() -> None:
    for text in blocks("docs/protocols.md", "toml")[:1]:
        assert parse_protocol(text, "docs/protocols.md").entries
    assert blocks("docs/protocols.md", "toml")


@pytest.mark.parametrize(
    "page", ["docs/plugins.md", "docs/networks.md", "docs/validation.md", "README.md"]
)
def test_python_in_the_docs_runs(page: str, tmp_path: Path, make_pairs: object) -> None:
    import os

    folders = make_pairs(3)  # type: ignore[operator]
    (tmp_path / "results").symlink_to(folders.generated)
    (tmp_path / "test").symlink_to(folders.ground_truth)
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        namespace: dict[str, object] = {"__name__": "docs"}
        for block in blocks(page, "python"):
            exec(compile(block, page, "exec", dont_inherit=True), namespace)  # noqa: S102 - our own documentation
    finally:
        os.chdir(here)
    assert len(namespace) > 2


def test_links_in_the_docs_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), (page.name, target)


def test_the_page_where_is_what_has_every_folder_of_the_package_and_no_other() -> None:
    text = (ROOT / "docs" / "where.md").read_text()
    listed = re.findall(r"^\| `(fhpt_eval/[a-z_/]*)` \|", text, re.MULTILINE)
    folders = {path.relative_to(ROOT).as_posix() + "/" for path in PACKAGE.rglob("*/")}
    assert len(listed) == len(set(listed))
    assert {f for f in folders if "__pycache__" not in f} | {"fhpt_eval/"} == set(listed)


#: Modules that open files in a way of their own, and which ones.
OTHER_DOORS = {
    "common/files.py": "it is the door",
    "common/machine.py": "the kernel's files",
    "common/fingerprint.py": "code that is imported",
    "common/shipped.py": "files of the package",
    "features/perceptual.py": "files of the package",
    "metrics/brisque.py": "files of the package",
    "protocol/methods.py": "files of the package",
    "weights/registry.py": "files of the package",
    "weights/state.py": "files whose digest has been taken",
    "weights/download.py": "half a download of its own, locked",
    "weights/bundle.py": "a scratch folder of its own",
    "benchmarks/mannequin/training/pictures.py": "arrays that it has written",
    "reference_models/drn/training/logs.py": "appends to a log of its own",
    "reference_models/drn/training/checkpoints.py": "a file that the door has looked at",
    "cli/screen.py": "the device that takes everything",
    "testing/metrics.py": "a scratch folder of its own",
}
OPENING = re.compile(
    r"(^|\.)(open|read_text|read_bytes|write_text|write_bytes|load_file|safe_open|memmap|fromfile"
    r"|read_csv|mkstemp|NamedTemporaryFile)$|^np\.load$|^torch\.load$|^os\.open$"
)


def openings(path: Path) -> list[str]:
    """Return the calls by which a module may open a file, but those of the doors.

    What is called ``file``, ``stream`` or ``data`` has been opened, or is in memory.
    """
    calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    doors = {"read_text", "read_bytes", "self._open", "_open"}
    return [
        name
        for call in calls
        if OPENING.search(name := ast.unparse(call.func))
        and name not in doors
        and not re.search(
            "file|stream|data|BytesIO", ast.unparse(call.args[0]) if call.args else ""
        )
    ]


def test_files_are_opened_through_the_doors_of_common_files_alone() -> None:
    """One way in, for regular files of bounded size; one way out, which replaces no others."""
    ways = {path.relative_to(PACKAGE).as_posix(): openings(path) for path in modules()}
    past = {name: calls for name, calls in ways.items() if calls and name not in OTHER_DOORS}
    assert not past
    assert all(ways[name] for name in OTHER_DOORS)
