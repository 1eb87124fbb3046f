"""The images of one folder by their names, and what is wrong with them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

from fhpt_eval.images.files import ImageRef
from fhpt_eval.images.listing import Listing, list_folder
from fhpt_eval.images.names import NameIndex
from fhpt_eval.pairs.layouts import Layout, layout_of
from fhpt_eval.pairs.pair import Problem


class FolderIndex:
    """The images of a folder, found by any spelling of their names.

    Two files with one name are a problem, not a choice.

    Attributes:
        what: the option that named the folder.
        files: the images by key, the path below the folder without the ending.
        names: the files' names below the folder, by key.
        duplicates: keys that several files share; none of them is in ``files``.
        problems: what is wrong with the names, and entries that cannot be read.
        passed_over: the number of entries that are no images, by kind.
    """

    #: Problems of a run for which a near miss is looked for, as more are not shown.
    HINTS: ClassVar[int] = 20

    def __init__(self, root: Path | None, what: str) -> None:
        """List the folder; none gives an empty index.

        Raises:
            InputError: it cannot be read, or holds no image.
        """
        listing = list_folder(root, what) if root else Listing({}, {}, {})
        self.what = what
        self._root = root
        self.files: dict[str, ImageRef] = {}
        self.names: dict[str, str] = {}
        self.duplicates: set[str] = set()
        self.passed_over = listing.passed_over
        self.problems = [
            Problem("unreadable", str(path), reason) for path, reason in listing.unreadable.items()
        ]
        for key, paths in listing.images.items():
            self.names[key] = key + paths[0].suffix
            if len(paths) > 1:
                names = " and ".join(path.name for path in paths)
                reason = f"{names} in {what} have one name; remove all but one"
                self.problems.append(Problem("duplicate", key, reason))
                self.duplicates.add(key)
            else:
                self.files[key] = ImageRef(paths[0])
        self.index = NameIndex(self.names)

    @cached_property
    def layout(self) -> Layout:
        """What was recognised in the names."""
        return layout_of(self.names, self._root)

    def find(self, name: str) -> str | None:
        """Return the key of the one image that a name means, in whatever spelling."""
        if name in self.files:
            return name
        keys = self.index.find(name)
        return keys[0] if len(keys) == 1 and keys[0] in self.files else None

    def is_twice(self, name: str) -> bool:
        """Whether several files are meant by a name; the first time it becomes a problem."""
        keys = self.index.find(name)
        if len(keys) < 2:
            return bool(keys) and keys[0] in self.duplicates
        names = " and ".join(self.names[key] for key in keys[:2])
        reason = f"{names} in {self.what} are one image by their names; give one of the folders"
        problem = Problem("duplicate", name, reason)
        if problem not in self.problems:
            self.problems.append(problem)
        return True

    def near(self, name: str) -> str:
        """Return " Did you mean 'x'?" for a name that is not there, or ""."""
        return self.index.near(name)

    def called(self, key: str) -> str:
        """Return what an image is called in keys of pairs, whatever its file's spelling."""
        return self.index.called(key)
