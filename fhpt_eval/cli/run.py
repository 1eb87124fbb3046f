"""``fhpt-eval run``: score a folder of generated images."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fhpt_eval.cli import options
from fhpt_eval.cli.screen import put, say

if TYPE_CHECKING:
    from fhpt_eval.evaluation.request import Request
    from fhpt_eval.metrics.options import Option
    from fhpt_eval.result import Result

# Beside a result, which does not say where its images lay: so that another folder of the same name
# does not replace it unasked.
_ORIGIN = "origin.txt"
_MAX_ORIGIN = 2**20

#: What differs where the command line takes several values or spells a field in another way.
_SPELLED: Mapping[str, Mapping[str, Any]] = {
    "pred": {"multiple": True},
    "protocols": {"flag": "--protocol"},
    "settings": {"flag": "--set", "multiple": True},
    "name": {"multiple": True},
    "outs": {"flag": "--out"},
    "cache": {"envvar": "FHPT_CACHE"},
}
_PATHS = frozenset({"pred", "gt", "source", "pairs", "outs", "cache"})
_NUMBERS = frozenset({"panels", "panel", "gt_panel", "source_panel", "workers"})
#: Fields that have no option of their own.
_NO_OPTION = frozenset({"options", "progress"})


def _request_options() -> Iterator[click.Option]:
    """Yield an option for each field of a request, and for each that plugins declare."""
    from fhpt_eval.evaluation.request import OPTIONS, Request

    for name, field in Request.model_fields.items():
        if name in _NO_OPTION:
            continue
        spelled = dict(_SPELLED.get(name, {}))
        flag = spelled.pop("flag", f"--{name.replace('_', '-')}")
        extra = field.json_schema_extra
        metavar = str(extra["metavar"]) if isinstance(extra, dict) else ""
        yield click.Option(
            [flag, name], help=f"{field.description}{_default(field.default)}",
            metavar=metavar or None, type=_type(name), is_flag=name == "allow_missing", **spelled,
        )  # fmt: skip
    for name in OPTIONS.names():
        yield click.Option([f"--{name}"], callback=_declared, expose_value=False)


def _type(name: str) -> Any:
    if name in _PATHS:
        return click.Path(path_type=Path)
    return click.INT if name in _NUMBERS else None


def _default(value: Any) -> str:
    """Return what help says of a default, where the description does not."""
    value = value[0] if isinstance(value, tuple) and value else value
    return f"  [default: {value}]" if isinstance(value, str) else ""


def _declared(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None and parameter.name is not None:
        context.ensure_object(dict)[parameter.name.replace("_", "-")] = value


class _Command(click.Command):
    """Has its options when they are asked for: a list of all commands need not wait for pydantic.

    It says of a declared option what its plugin says; only help has to ask.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if all(parameter.name != "pred" for parameter in self.params):
            self.params[:0] = _request_options()
        return super().get_params(ctx)

    def get_help(self, ctx: click.Context) -> str:
        from fhpt_eval.evaluation.request import OPTIONS

        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and parameter.name is not None:
                name = parameter.name.replace("_", "-")
                if name in OPTIONS.names():
                    declared: Option = OPTIONS.load(name)
                    parameter.help, parameter.metavar = declared.help, declared.metavar
        return super().get_help(ctx)


@click.command(cls=_Command)
@click.option(
    "--request",
    type=click.Path(path_type=Path),
    metavar="TOML",
    help="A file with any of these options; those given here take their place.",
)
@click.option("--json", "as_json", is_flag=True, help="Print result.json, and nothing else.")
@options.weights_dir
@click.pass_context
def run(context: click.Context, /, request: Path | None, as_json: bool, **typed: Any) -> int:
    """Score generated images against their ground truth.

    Writes result.json, scores.csv, pairs.csv and files.csv. Repeating the command goes on from
    what is finished. Exit status: 0 all scores, 3 some are unavailable, 2 bad input or nowhere to
    write, 1 a metric failed, 130 interrupted.

    \b
    fhpt-eval run --pred results/ --gt test/
    fhpt-eval run --pred results/ --gt test/ --metrics ssim,psnr --name ours
    fhpt-eval run --pred ours/ --pred theirs/ --gt test/
    fhpt-eval run --pred strips/ --gt strips/ --panels 3
    fhpt-eval run --pred results/ --fid-reference train/ --metrics fid,brisque
    fhpt-eval run --pred results/ --gt test/ --metrics fid --fid-reference train.npz
    fhpt-eval run --pred results/ --gt test/ --protocol fhpt,mine.toml
    fhpt-eval run --pred results/ --gt test/ --set ssim.sigma=1.2
    """
    from fhpt_eval.cli.show import TerminalProgress
    from fhpt_eval.common.files import write_atomically
    from fhpt_eval.evaluation.evaluate import evaluate_methods
    from fhpt_eval.evaluation.request import loaded_protocols
    from fhpt_eval.evaluation.store.store import default_cache

    declared = context.ensure_object(dict)
    asked = _asked(request, typed, declared)
    methods = _methods(typed, asked, [each.id for each in loaded_protocols(asked)])
    origins = [_origin({"pred": pred, "gt": asked.gt, **asked.options}) for pred, _, _ in methods]
    if not typed["name"] and typed["outs"] is None:
        _check_origins(methods, origins)
    complete = True
    with TerminalProgress() as progress:
        known = {"cache": asked.cache or default_cache(), "progress": progress}
        results = evaluate_methods([
            asked.with_values(pred=pred, name=method, outs=folders, **known)
            for pred, method, folders in methods
        ])  # fmt: skip
        for (_, _, folders), origin, scored in zip(methods, origins, results, strict=True):
            progress.close()
            for folder, result in zip(folders, scored, strict=True):
                write_atomically(folder / _ORIGIN, origin.encode())
                complete = _show(result, folder, as_json) and complete
            if len(scored) > 1 and not as_json:
                say(f"Side by side: fhpt-eval sensitivity {shlex.join(map(str, folders))}")
    return 0 if complete else 3


def _asked(file: Path | None, typed: Mapping[str, Any], declared: Mapping[str, str]) -> Request:
    """Return the request of a file and of what was given beside it, for the first method."""
    from fhpt_eval.evaluation.request import Request, parse_settings

    values = {name: value for name, value in typed.items() if value not in (None, (), False)}
    values.pop("outs", None)
    values.pop("name", None)
    if "pred" in values:
        values["pred"] = values["pred"][0]
    if "protocols" in values:
        values["protocols"] = _names(values["protocols"], "--protocol")
    if "metrics" in values:
        values["metrics"] = tuple(n for n in values["metrics"].split(",") if n.strip())
        if not values["metrics"]:
            raise click.UsageError("--metrics names no metric.")
    if "settings" in values:
        values["settings"] = parse_settings(values["settings"])
    if declared:
        values["options"] = dict(declared)
    if file is not None:
        return Request.load(file, **values)
    if "pred" not in values:
        raise click.UsageError("Missing option '--pred'.")
    return Request.of(**values)


def _names(text: str, option: str) -> tuple[str, ...]:
    """Split names at commas; a file may have a comma in its name."""
    names = (text,) if Path(text).is_file() else tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise click.UsageError(f"{option}: there is a name missing beside a comma.")
    return names


def _show(result: Result, folder: Path, as_json: bool) -> bool:
    """Print a result, and return whether every score has a value."""
    from fhpt_eval.cli.show import is_complete, show_scores

    if as_json:
        put(result.to_json())
    else:
        show_scores(result)
        say(result.citation)
        if result.protocol.standing:
            say(result.protocol.standing)
        say(f"Written to {folder}: result.json, scores.csv, pairs.csv, files.csv")
    return is_complete(result.scores)


def _check_origins(methods: Sequence[tuple[Path, str, list[Path]]], origins: Sequence[str]) -> None:
    """Refuse to replace results of other images that only happen to lie in an equal name."""
    from fhpt_eval.common.files import read_text
    from fhpt_eval.errors import InputError

    faults = []
    for (_, _, folders), origin in zip(methods, origins, strict=True):
        for note in (folder / _ORIGIN for folder in folders):
            if note.is_file():
                known = read_text(note, _MAX_ORIGIN, "another --name or --out")
                if known != origin:
                    faults.append(f"{note.parent} holds the result of other folders:\n{known}")
    if faults:
        raise InputError(
            "".join(faults) + "Give this one a --name of its own, or say where it goes with --out."
        )


def _origin(paths: Mapping[str, Path | str | None]) -> str:
    """Say which folders and files a result is of."""
    present = {name: path for name, path in paths.items() if path is not None}
    text = "".join(f"  --{name} {os.path.realpath(path)}\n" for name, path in present.items())
    return text.encode(errors="backslashreplace").decode()  # names need not be text


def _methods(
    typed: Mapping[str, Any], asked: Request, protocols: list[str]
) -> list[tuple[Path, str, list[Path]]]:
    """Return each method's folder of images, its name, and where its results go."""
    preds: tuple[Path, ...] = typed["pred"] or (asked.pred,)
    names: tuple[str, ...] = typed["name"] or ((asked.name,) if asked.name else ())
    out: Path | None = typed["outs"] or (asked.outs[0] if asked.outs else None)
    if names and len(names) != len(preds):
        raise click.UsageError(f"{len(preds)} --pred and {len(names)} --name: give one for each.")
    methods = names or tuple(Path(os.path.realpath(pred)).name for pred in preds)
    if len(set(methods)) < len(methods):
        raise click.UsageError(
            f"Two methods have one name ({', '.join(methods)}); give each a --name."
        )
    roots = [(out or Path("fhpt-eval-runs")) / protocol for protocol in protocols]
    if out is not None and len(protocols) == 1:
        roots = [out]
    alone = out is not None and len(preds) == 1
    return [
        (pred, method, [root if alone else root / method for root in roots])
        for pred, method in zip(preds, methods, strict=True)
    ]
