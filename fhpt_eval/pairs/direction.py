"""Which half of a name A_B is the target: of pose transfer the second, of try-on the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fhpt_eval.errors import PairingError
from fhpt_eval.images.names import POSE_TRANSFER, TRY_ON
from fhpt_eval.pairs.claims import Claim
from fhpt_eval.pairs.folder import FolderIndex
from fhpt_eval.pairs.naming import are_people_of, is_marked


@dataclass(frozen=True, slots=True)
class Directions:
    """The claims of both readings of names A_B, as far as something decides between them.

    ``undecided`` are files that nothing decides, with the claim of either reading.
    """

    transfer: Mapping[str, Claim]
    try_on: Mapping[str, Claim]
    undecided: Mapping[str, tuple[Claim | None, Claim | None]]

    def refuse_undecided(self, generated: FolderIndex, truth: FolderIndex) -> None:
        """Ask which half of the names is the target.

        Raises:
            PairingError: nothing decides it.
        """
        for file, (transfer, try_on) in self.undecided.items():
            name = generated.names[file]
            lines = [
                f"  --match {rule:14}  {meaning:14}  with {truth.names[claim.truth]}"
                for rule, meaning, claim in (
                    ("A_B", "SOURCE_TARGET", transfer),
                    ("PERSON_GARMENT", "of try-on", try_on),
                )
                if claim
            ]
            raise PairingError(
                f"Which half of {name} is the image that it should equal?\n"
                f"{len(self.undecided):,} names can be read in two ways. Say which is meant:\n"
                + "\n".join(lines)
                + "\nA list of pairs (--pairs) settles it too."
            )


def decide(
    transfer: Mapping[str, Claim], try_on: Mapping[str, Claim], truth: FolderIndex
) -> Directions:
    """Part names that may be SOURCE_TARGET or PERSON_GARMENT, by what each file's name says.

    ``transfer`` and ``try_on`` are the claims of both readings, by file.
    """
    transfers: dict[str, Claim] = {}
    dressed: dict[str, Claim] = {}
    undecided: dict[str, tuple[Claim | None, Claim | None]] = {}
    for file in dict.fromkeys([*transfer, *try_on]):
        first, second = transfer.get(file), try_on.get(file)
        if _is_transfer(file, first, second):
            if first:
                transfers[file] = first
        elif second and truth.find(second.garment or "") in truth.layout.garments:
            dressed[file] = second
        elif first and second and first.truth == second.truth:
            transfers[file] = first  # the person in the garment of the same photograph
        elif first and second is None and not _is_try_on(first):
            transfers[file] = first
        elif first or (second and _is_try_on(second)):
            undecided[file] = (first, second)
    return Directions(transfers, dressed, undecided)


def _is_transfer(file: str, first: Claim | None, second: Claim | None) -> bool:
    """Whether a name is surely SOURCE_TARGET."""
    pair = _halves(first) or _halves(second)
    return is_marked(file) or (pair is not None and are_people_of(POSE_TRANSFER, *pair))


def _is_try_on(claim: Claim) -> bool:
    pair = _halves(claim)
    return pair is not None and are_people_of(TRY_ON, *pair)


def _halves(claim: Claim | None) -> tuple[str, str] | None:
    if claim is None:
        return None
    return (claim.garment or claim.source or "", claim.target)
