"""What two protocols differ in, as sentences that can be quoted.

Nothing here knows a metric or a step: each class brings the words for its parameters, and what it
lacks is spelt out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

from fhpt_eval.common.words import Known, Words, fill, listed, named_in, phrase, text
from fhpt_eval.images.preparation import Side, Step
from fhpt_eval.protocol import Entry, Protocol

#: Two preparations.
_Sides: TypeAlias = tuple[tuple[Step, ...], tuple[Step, ...]]

_AS_THEY_ARE = "takes images as they are"
_ALL_SIDES = len(get_args(Side))
#: What the canonical form of every metric in a protocol has; see :meth:`Entry.canonical`.
_USUAL = frozenset({"metric", "version", "parameters", "weights", "prepare"})
#: So many digits of a digest tell files apart.
_DIGITS = 12


@dataclass(frozen=True)
class Section:
    """Some sentences about one thing; ``title`` is that of a paragraph."""

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What two protocols differ in: a first sentence, and sections; no section if in nothing."""

    head: str
    sections: tuple[Section, ...]

    def text(self) -> str:
        """Return everything as plain text, a line for each sentence."""
        lines = [self.head]
        for section in self.sections:
            lines += ["", section.title, *(f"- {sentence}" for sentence in section.sentences)]
        return "\n".join(lines)


def compare(first: Protocol, second: Protocol, names: tuple[str, str] | None = None) -> Comparison:
    """Say in words what moves a number in one protocol and not in the other.

    ``names`` are what the protocols are called; their ids by default.
    """
    called = names or (first.id, second.id)
    if first.digest == second.digest:
        return Comparison(
            f"{called[0]} and {called[1]} are equal in everything that moves a number; "
            f"digest {first.digest[:_DIGITS]}.",
            (),
        )
    theirs = {entry.name: entry for entry in second.entries}
    common = [(entry, theirs[entry.name]) for entry in first.entries if entry.name in theirs]
    sections = [
        Section("Metrics", _membership(first, second, called)),
        Section("Preparation", _preparation(first, second, called)),
        *(Section(f"{a.name} ({a.metric.title})", _settings(a, b, called)) for a, b in common),
    ]
    return Comparison(
        f"{called[0]} (digest {first.digest[:_DIGITS]}) and {called[1]} (digest "
        f"{second.digest[:_DIGITS]}) differ, and results under the two are not ranked together.",
        tuple(section for section in sections if section.sentences),
    )


def describe(entry: Entry) -> str:
    """Say in words what a metric's settings are, as a phrase after "has"."""
    phrases = _told(entry.metric.words, entry.metric.canonical())
    further = _further(entry.canonical())
    phrases += _told(entry.words, {name: value for name, value in further.items() if value})
    return entry.metric.title + (f" with {listed(phrases)}" if phrases else "")


def in_words(steps: Sequence[Step]) -> str:
    """Say what a preparation does to images, as a sentence without its subject."""
    return ", then ".join(_step(step) for step in steps) if steps else _AS_THEY_ARE


def _step(step: Step) -> str:
    """Say what a step does: its sentence, what that leaves out, and to which side alone."""
    settings = step.model_dump(mode="json")
    kind, sides = settings.pop("step", type(step).__name__.lower()), settings.pop("of")
    sentence = step.words.get("", "")
    if not isinstance(sentence, str) or not sentence:
        sentence = f"applies the step {kind}"
    told = named_in(sentence)
    for name in settings:
        template = step.words.get(name)
        told |= named_in(template) if isinstance(template, str) else set()
    rest = [phrase(step.words, settings, name) for name in settings if name not in told]
    beside = [listed([one for one in rest if one])]
    whom = [side.replace("_", " ") for side in sides]
    beside += [] if len(whom) == _ALL_SIDES else [f"{listed(whom)} images alone"]
    aside = "; ".join(filter(None, beside))
    return fill(sentence, settings, step.words) + (f" ({aside})" if aside else "")


def _membership(first: Protocol, second: Protocol, called: tuple[str, str]) -> tuple[str, ...]:
    """Say which metrics only one has, and which are the same under other names."""
    sentences = []
    for (name, one), other in zip(zip(called, (first, second), strict=True), (second, first),
                                  strict=True):  # fmt: skip
        known = {entry.name for entry in other.entries}
        for entry in one.entries:
            if entry.name not in known:
                own = (
                    "" if entry.steps == one.steps else f"; for it, {name} {in_words(entry.steps)}"
                )
                sentences.append(f"Only {name} has {entry.name}: {describe(entry)}{own}.")
    both = [entry.name for entry in first.entries if entry.name in {e.name for e in second.entries}]
    alike = [name for name in both if _canonical(first, name) == _canonical(second, name)]
    if alike:
        sentences.append(
            f"Alike in every setting, hence equal on the same images: {listed(alike)}."
        )
    return (*sentences, *_namesakes(first, second, called))


def _namesakes(first: Protocol, second: Protocol, called: tuple[str, str]) -> Iterable[str]:
    """Say which metrics of different names are computed alike, but perhaps of other images."""
    for a in first.entries:
        ours = a.canonical()
        for b in second.entries:
            theirs = b.canonical()
            if a.name == b.name or ours | {"prepare": []} != theirs | {"prepare": []}:
                continue
            of = "" if ours == theirs else ", but of images that are prepared otherwise"
            yield f"{called[0]}'s {a.name} is computed as {called[1]}'s {b.name}{of}."


def _canonical(protocol: Protocol, name: str) -> Mapping[str, Any]:
    return next(entry.canonical() for entry in protocol.entries if entry.name == name)


def _preparation(first: Protocol, second: Protocol, called: tuple[str, str]) -> tuple[str, ...]:
    """Say how the preparation differs: of all metrics, and where one has another than the rest."""
    usual = (first.steps, second.steps)
    theirs = {entry.name: entry for entry in second.entries}
    found: dict[_Sides, list[str]] = {}
    for a in first.entries:
        sides = (a.steps, theirs[a.name].steps) if a.name in theirs else usual
        if sides != usual and (sides[0] != sides[1] or usual[0] != usual[1]):
            found.setdefault(sides, []).append(a.name)
    told = [f"For {listed(names)}: {_contrast(sides, called)}" for sides, names in found.items()]
    if usual[0] != usual[1]:
        rest = "Otherwise" if told else "For every metric"
        told.append(f"{rest}: {_contrast(usual, called)}")
    known = [one for sides in (usual, *found) for one in _known_of(sides)]
    return (*told, *_sourced(known), "Sizes are width x height.") if told else ()


def _known_of(sides: _Sides) -> list[Known]:
    """Return what is known of steps that only one side has."""
    apart = [step for step in sides[0] if step not in sides[1]]
    apart += [step for step in sides[1] if step not in sides[0]]
    return [one for step in apart for one in step.known if one.fits(step.model_dump(mode="json"))]


def _contrast(steps: _Sides, called: tuple[str, str]) -> str:
    if steps[0] == steps[1]:
        return f"{called[0]} {in_words(steps[0])}, and so does {called[1]}."
    for less, more in ((0, 1), (1, 0)):
        shared = len(steps[less])
        if shared and steps[more][:shared] == steps[less]:
            further = in_words(steps[more][shared:])
            return (
                f"{called[less]} {in_words(steps[less])}; {called[more]} does so too, then "
                f"{further}."
            )
    return f"{called[0]} {in_words(steps[0])}; {called[1]} {in_words(steps[1])}."


def _settings(a: Entry, b: Entry, called: tuple[str, str]) -> tuple[str, ...]:
    """Say which settings of a metric that both have differ."""
    if a.metric.name != b.metric.name:
        return (
            f"{called[0]} calls the metric {a.metric.name} so: {describe(a)}; {called[1]} the "
            f"metric {b.metric.name}: {describe(b)}.",
        )
    ours, theirs = a.canonical(), b.canonical()
    sides = []
    for entry, own, other in ((a, ours, theirs), (b, theirs, ours)):
        told = _told(entry.metric.words, own["parameters"], other["parameters"])
        told += _weights(own["weights"], other["weights"])
        told += _told(entry.words, _further(own), _further(other))
        if own["version"] != other["version"]:
            told.append(f"version {own['version']} of the metric")
        sides.append(listed(told) or "nothing of the kind")
    if sides[0] == sides[1]:
        return ()
    known = [one for one in a.metric.known if one.fits(ours["parameters"], theirs["parameters"])]
    return (f"{called[0]} has {sides[0]}; {called[1]} has {sides[1]}.", *_sourced(known))


def _sourced(known: Iterable[Known]) -> list[str]:
    """Say how far differences are known to move numbers, and where that is documented."""
    told = dict.fromkeys(f"{one.told[:1].upper()}{one.told[1:]} ({one.source})." for one in known)
    return list(told)


def _told(
    words: Words, settings: Mapping[str, Any], others: Mapping[str, Any] | None = None
) -> list[str]:
    """Say what settings are, or those that others differ in; a phrase for several stands once."""
    names = dict.fromkeys([*settings, *(others or {})])
    chosen = [n for n in names if others is None or settings.get(n) != others.get(n)]
    told = [phrase(words, {**names, **settings}, name) for name in chosen]
    return list(dict.fromkeys(one for one in told if one))


def _further(canonical: Mapping[str, Any]) -> dict[str, Any]:
    """Return what fixes a metric's numbers besides what every one has."""
    return {name: value for name, value in canonical.items() if name not in _USUAL}


def _weights(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Name the files of learned figures that the other one has not, by their digests."""
    return [
        f"weights {name} ({text(digest)[:_DIGITS]})"
        for name, digest in ours.items()
        if theirs.get(name) != digest
    ]
