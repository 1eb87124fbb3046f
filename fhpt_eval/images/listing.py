"""Which images a folder holds: every entry is an image, passed over, or unreadable.

What counts as an image is in docs/images.md; the constants below are its source.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fhpt_eval.common.files import why
from fhpt_eval.errors import InputError

#: Endings of files that are taken as images.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
#: Endings of image files that are refused by name rather than passed over.
REFUSED_SUFFIXES = frozenset(
    {".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".j2k", ".avif", ".heic", ".jfif", ".exr"}
)
#: So many unreadable entries are shown in a message.
_SHOWN = 20
# Control characters, and bytes that are no text in the file system's encoding.
_UNPRINTABLE = {"Cc", "Cs"}


@dataclass(frozen=True)
class Listing:
    """What lies below a folder.

    ``images`` has paths by key: the path below the folder without its ending; two files with one
    key (``a.png`` and ``a.jpg``) both stand in its list. ``unreadable`` says of entries why they
    cannot be reached, such as a link whose target is gone; those that are named as images stand in
    ``images`` too, since a pair may expect them. ``passed_over`` counts all else by kind: by
    ending, ``hidden``, ...
    """

    images: Mapping[str, list[Path]]
    unreadable: Mapping[Path, str]
    passed_over: Mapping[str, int]


def without_ending(name: str) -> str:
    """Return an image's name as pairs have it, from one in a list: no ending, no ``./``."""
    name = name.strip().removeprefix("./")
    base, dot, ending = name.rpartition(".")
    return base if dot and f".{ending.lower()}" in SUFFIXES | REFUSED_SUFFIXES else name


def find_images(root: Path, what: str) -> dict[str, list[Path]]:
    """List the images below a folder, by key, where every one of them is needed.

    Raises:
        InputError: as :func:`list_folder`; or an entry is unreadable.
    """
    return dict(list_folder(root, what, whole=True).images)


def list_folder(root: Path, what: str, *, whole: bool = False) -> Listing:
    """Account for every entry below a folder; links are followed, each folder is walked once.

    Raises:
        InputError: ``root`` is missing, is no folder, cannot be read, or holds no image; or a name
            cannot be printed; or the ``whole`` folder is needed and an entry is unreadable.
            ``what`` says which of the user's folders it is.
    """
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except OSError as error:
        raise InputError(
            f"{what}: there is no folder {root} ({error.strerror}). Check the path."
        ) from error
    if not is_folder:
        raise InputError(f"{what}: {root} is a file; give the folder that holds the images.")
    walk = _Walk(root, what)
    walk.run()
    if root in walk.unreadable:
        raise InputError(f"{what}: {root} {walk.unreadable[root]}.")
    if not walk.images:
        endings = ", ".join(sorted(SUFFIXES))
        also = f" There are {counted(walk.passed_over)}." if walk.passed_over else ""
        raise InputError(
            f"{what}: {root} holds no images (looked for {endings}).{also}{_lines(walk.unreadable)}"
        )
    if whole and walk.unreadable:
        raise InputError(
            f"{what}: entries of {root} cannot be read. Mend them, or take them away."
            f"{_lines(walk.unreadable)}"
        )
    images = {key: sorted(paths) for key, paths in sorted(walk.images.items())}
    return Listing(images, dict(sorted(walk.unreadable.items())), dict(walk.passed_over))


def counted(passed_over: Mapping[str, int]) -> str:
    """Say how many entries of which kind were passed over, the most frequent kinds first."""
    kinds = sorted(passed_over.items(), key=lambda kind: (-kind[1], kind[0]))
    return ", ".join(f"{number:,} {kind}" for kind, number in kinds)


def unreachable(path: Path, error: OSError, hint: str = "") -> str:
    """Say why an entry of a folder cannot be reached, as what follows its name."""
    if path.is_symlink() and isinstance(error, FileNotFoundError):
        return "is a link whose target is gone; mend it, or take it away"
    return f"cannot be read ({why(error)}){hint}"


def _lines(unreadable: Mapping[Path, str]) -> str:
    lines = [f"\n  {path}: {reason}" for path, reason in list(unreadable.items())[:_SHOWN]]
    more = len(unreadable) - len(lines)
    return "".join(lines) + (f"\n  ... and {more:,} more" if more else "")


@dataclass
class _Walk:
    """A walk through a folder: what lies in it by itself first, then what links lead to."""

    root: Path
    what: str
    images: dict[str, list[Path]] = field(default_factory=dict)
    unreadable: dict[Path, str] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        """Walk, without recursion: folders may lie in each other to any depth."""
        real_root = Path(os.path.realpath(self.root))
        walked: set[Path] = set()
        folders: list[tuple[Path, str]] = [(self.root, "")]
        links: list[tuple[Path, str]] = []
        while folders or links:
            # A folder is better known by its own name than by that of a link to it.
            folder, prefix = folders.pop() if folders else links.pop(0)
            real = Path(os.path.realpath(folder))
            above = real != real_root and real_root.is_relative_to(real)
            if real in walked or above:
                self.passed_over["links to folders that are listed already"] += 1
                continue
            walked.add(real)
            for entry in self._entries(folder):
                if self._is_folder(entry, folder, prefix):
                    below = (folder / entry.name, f"{prefix}{entry.name}/")
                    (links if entry.is_symlink() else folders).append(below)

    def _entries(self, folder: Path) -> Iterable[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._report(folder, error)
            return ()

    def _is_folder(self, entry: os.DirEntry[str], folder: Path, prefix: str) -> bool:
        """Return whether an entry is a folder to be walked; account for any other."""
        if entry.name.startswith("."):
            self.passed_over["hidden"] += 1
            return False
        path = folder / entry.name
        suffix = path.suffix.lower()
        named_as_image = suffix in SUFFIXES | REFUSED_SUFFIXES
        try:
            if entry.is_symlink():
                entry.stat()  # what it leads to, which is_dir() and is_file() keep silent about
            if entry.is_dir():
                return True
            is_file = entry.is_file()
        except OSError as error:
            self._report(path, error)
        else:
            if not named_as_image:
                self.passed_over[_kind(suffix) if is_file else "neither file nor folder"] += 1
        if named_as_image:
            self._check_printable(path)
            self.images.setdefault(f"{prefix}{path.stem}", []).append(path)
        return False

    def _report(self, path: Path, error: OSError) -> None:
        self._check_printable(path)
        self.unreadable[path] = unreachable(path, error)

    def _check_printable(self, path: Path) -> None:
        text = str(path)
        if not text.isprintable() and any(
            unicodedata.category(character) in _UNPRINTABLE for character in text
        ):
            raise InputError(
                f"{self.what}: the name {text!r} has characters that cannot be printed; rename it."
            )


def _kind(suffix: str) -> str:
    """Return what files of an ending are counted as."""
    if not suffix:
        return "without an ending"
    return suffix if suffix.isprintable() and len(suffix) <= 12 else "of other endings"
