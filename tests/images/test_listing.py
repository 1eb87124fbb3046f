"""Every entry of a folder is accounted for: an image, passed over, or unreadable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fhpt_eval.errors import InputError
from fhpt_eval.images.listing import Listing, counted, find_images, list_folder


def stored(folder: Path, data: bytes, name: str) -> Path:
    """Write bytes to a file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def reasons(listing: Listing, root: Path) -> dict[str, str]:
    """Return what is said of unreadable entries, by their names below the folder."""
    return {str(path.relative_to(root)): why for path, why in listing.unreadable.items()}


class TestFindImages:
    def test_a_missing_folder_is_named_with_the_option(self, tmp_path: Path) -> None:
        missing = tmp_path / "nowhere"
        with pytest.raises(InputError, match=rf"--pred: .*{missing}.*Check the path"):
            find_images(missing, "--pred")

    def test_a_file_instead_of_a_folder_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "image.png"
        file.touch()
        with pytest.raises(InputError, match=r"--gt: .*image\.png is a file; give the folder"):
            find_images(file, "--gt")

    def test_a_folder_without_images_is_refused_and_the_endings_are_listed(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "notes.txt").write_text("nothing here")
        with pytest.raises(InputError, match=r"holds no images .*\.bmp, \.jpeg, \.jpg, \.png"):
            find_images(tmp_path, "--gt")

    def test_keys_are_paths_below_the_folder_without_the_ending(self, tmp_path: Path) -> None:
        for name in ("b.png", "deep/er/a.JPG", "a.jpg___b.jpg_vis.jpg"):
            stored(tmp_path, b"x", name)
        assert find_images(tmp_path, "--pred") == {
            "a.jpg___b.jpg_vis": [tmp_path / "a.jpg___b.jpg_vis.jpg"],
            "b": [tmp_path / "b.png"],
            "deep/er/a": [tmp_path / "deep/er/a.JPG"],
        }

    def test_keys_come_sorted(self, tmp_path: Path) -> None:
        for name in ("b.png", "a/z.png", "a.png", "C.png", "a-b.png"):
            stored(tmp_path, b"x", name)
        keys = list(find_images(tmp_path, "--pred"))
        assert keys == sorted(keys)

    def test_hidden_files_and_folders_are_passed_over(self, tmp_path: Path) -> None:
        for name in ("seen.png", ".hidden.png", ".cache/other.png", "._seen.png"):
            stored(tmp_path, b"x", name)
        assert list(find_images(tmp_path, "--pred")) == ["seen"]

    def test_files_that_are_no_images_are_passed_over(self, tmp_path: Path) -> None:
        for name in ("seen.png", "list.csv", "README", "statistics.npz"):
            stored(tmp_path, b"x", name)
        assert list(find_images(tmp_path, "--pred")) == ["seen"]

    def test_two_files_with_one_stem_both_stand_in_the_list(self, tmp_path: Path) -> None:
        for name in ("a.png", "a.jpg"):
            stored(tmp_path, b"x", name)
        assert find_images(tmp_path, "--gt") == {"a": [tmp_path / "a.jpg", tmp_path / "a.png"]}

    @pytest.mark.parametrize("ending", [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".PNG", ".JpG"])
    def test_accepted_endings_are_found_in_any_case(self, tmp_path: Path, ending: str) -> None:
        stored(tmp_path, b"x", f"a{ending}")
        assert list(find_images(tmp_path, "--gt")) == ["a"]

    @pytest.mark.parametrize("ending", [".gif", ".tif", ".tiff", ".ppm", ".jfif", ".heic", ".avif"])
    def test_images_of_refused_formats_are_listed_rather_than_overlooked(
        self, tmp_path: Path, ending: str
    ) -> None:
        stored(tmp_path, b"x", f"a{ending}")
        assert list(find_images(tmp_path, "--gt")) == ["a"]

    def test_links_to_files_and_folders_are_followed(self, tmp_path: Path) -> None:
        stored(tmp_path / "elsewhere", b"x", "a.png")
        root = tmp_path / "root"
        root.mkdir()
        (root / "b.png").symlink_to(tmp_path / "elsewhere" / "a.png")
        (root / "more").symlink_to(tmp_path / "elsewhere")
        assert list(find_images(root, "--gt")) == ["b", "more/a"]

    def test_a_link_back_to_a_parent_folder_is_not_followed_again(self, tmp_path: Path) -> None:
        stored(tmp_path, b"x", "a.png")
        (tmp_path / "loop").symlink_to(tmp_path)
        assert list(find_images(tmp_path, "--gt")) == ["a"]

    @pytest.mark.parametrize("name", [b"caf\xe9.png", b"a\rb.png", b"a\nb.png"])
    def test_a_name_that_is_no_printable_text_is_refused(self, tmp_path: Path, name: bytes) -> None:
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
        with pytest.raises(InputError, match=r"--gt: the name .*rename it"):
            find_images(tmp_path, "--gt")

    @pytest.mark.parametrize("name", ["für.png", "姿势.png", "a b.png"])
    def test_a_name_in_any_script_is_accepted(self, tmp_path: Path, name: str) -> None:
        stored(tmp_path, b"x", name)
        assert list(find_images(tmp_path, "--gt")) == [name.removesuffix(".png")]

    def test_the_name_of_a_file_that_is_no_image_does_not_matter(self, tmp_path: Path) -> None:
        stored(tmp_path, b"x", "a.png")
        (tmp_path / "Icon\r").touch()  # macOS puts it into folders
        assert list(find_images(tmp_path, "--gt")) == ["a"]

    def test_a_wide_space_may_stand_in_a_name(self, tmp_path: Path) -> None:
        name = "姿势\N{IDEOGRAPHIC SPACE}一"
        stored(tmp_path, b"x", f"{name}.png")
        assert list(find_images(tmp_path, "--gt")) == [name]

    def test_an_impossible_path_is_refused_like_a_missing_one(self) -> None:
        with pytest.raises(InputError, match="--pred"):
            find_images(Path("x" * 300), "--pred")


class TestUnreadable:
    def test_a_link_whose_target_is_gone_is_unreadable_and_still_known_by_its_name(
        self, tmp_path: Path
    ) -> None:
        stored(tmp_path, b"x", "a.png")
        (tmp_path / "b.png").symlink_to(tmp_path / "moved" / "b.png")
        listing = list_folder(tmp_path, "--pred")
        assert list(listing.images) == ["a", "b"]
        assert reasons(listing, tmp_path) == {
            "b.png": "is a link whose target is gone; mend it, or take it away"
        }

    @pytest.mark.parametrize("name", ["part2", "notes.txt", "epoch.9"])
    def test_a_dead_link_is_unreadable_whatever_its_name(self, tmp_path: Path, name: str) -> None:
        stored(tmp_path, b"x", "a.png")
        (tmp_path / name).symlink_to(tmp_path / "moved")
        listing = list_folder(tmp_path, "--pred")
        assert reasons(listing, tmp_path).keys() == {name}
        assert list(listing.images) == ["a"]
        assert listing.passed_over == {}

    def test_links_that_lead_to_each_other_are_unreadable(self, tmp_path: Path) -> None:
        stored(tmp_path, b"x", "a.png")
        (tmp_path / "this").symlink_to(tmp_path / "that")
        (tmp_path / "that").symlink_to(tmp_path / "this")
        assert reasons(list_folder(tmp_path, "--gt"), tmp_path).keys() == {"this", "that"}

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read anything")
    def test_a_folder_without_permission_is_unreadable(self, tmp_path: Path) -> None:
        stored(tmp_path, b"x", "a.png")
        closed = stored(tmp_path, b"x", "closed/b.png").parent
        closed.chmod(0)
        listing = list_folder(tmp_path, "--gt")
        closed.chmod(0o755)
        assert reasons(listing, tmp_path) == {"closed": "cannot be read (Permission denied)"}

    def test_a_folder_that_its_server_has_lost_is_unreadable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored(tmp_path, b"x", "a.png")
        lost = stored(tmp_path, b"x", "mount/b.png").parent
        scandir = os.scandir

        def stale(folder: Path) -> object:
            if Path(folder) == lost:
                raise OSError(116, "Stale file handle")
            return scandir(folder)

        monkeypatch.setattr(os, "scandir", stale)
        listing = list_folder(tmp_path, "--gt")
        assert reasons(listing, tmp_path) == {"mount": "cannot be read (Stale file handle)"}

    def test_where_every_image_is_needed_the_unreadable_are_listed(self, tmp_path: Path) -> None:
        stored(tmp_path, b"x", "a.png")
        for name in ("b.png", "more"):
            (tmp_path / name).symlink_to(tmp_path / "moved")
        with pytest.raises(InputError, match=r"--source: .*(?s:.)*b\.png: is a link.*\n.*more: is"):
            find_images(tmp_path, "--source")

    def test_a_folder_of_dead_links_alone_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "part").symlink_to(tmp_path / "moved")
        with pytest.raises(InputError, match=r"holds no images .*\n.*part: is a link"):
            list_folder(tmp_path, "--pred")


class TestPassedOver:
    def test_what_is_no_image_is_counted_by_kind(self, tmp_path: Path) -> None:
        for name in ("a.png", "log.txt", "more/LOG.TXT", "x.npz", ".DS_Store", "README"):
            stored(tmp_path, b"x", name)
        os.mkfifo(tmp_path / "pipe")
        passed_over = list_folder(tmp_path, "--pred").passed_over
        assert passed_over == {
            ".txt": 2, ".npz": 1, "hidden": 1, "without an ending": 1, "neither file nor folder": 1,
        }  # fmt: skip
        assert counted(passed_over).startswith("2 .txt, 1 .npz, 1 hidden")

    def test_a_folder_without_images_says_what_is_there(self, tmp_path: Path) -> None:
        stored(tmp_path, b"x", "a.npz")
        with pytest.raises(InputError, match=r"There are 1 \.npz\."):
            list_folder(tmp_path, "--gt")

    def test_an_ending_that_cannot_be_printed_is_not_repeated(self, tmp_path: Path) -> None:
        for name in ("a.png", "b.\x1b[31m", f"c.{'x' * 99}"):
            stored(tmp_path, b"x", name)
        assert list_folder(tmp_path, "--pred").passed_over == {"of other endings": 2}


class TestLinkedFolders:
    def test_folders_that_link_to_each_other_are_walked_once_each(self, tmp_path: Path) -> None:
        for name in ("a/1.png", "b/2.png", "c/3.png"):
            stored(tmp_path, b"x", name)
        for here in "abc":
            for there in "abc".replace(here, ""):
                (tmp_path / here / there).symlink_to(tmp_path / there)
        listing = list_folder(tmp_path, "--gt")
        assert list(listing.images) == ["a/1", "b/2", "c/3"]
        assert listing.passed_over == {"links to folders that are listed already": 6}

    def test_a_folder_is_known_by_its_own_name_rather_than_by_that_of_a_link(
        self, tmp_path: Path
    ) -> None:
        stored(tmp_path, b"x", "run9/1.png")
        (tmp_path / "latest").symlink_to(tmp_path / "run9")
        assert list(list_folder(tmp_path, "--pred").images) == ["run9/1"]

    def test_a_link_to_a_folder_above_is_not_followed(self, tmp_path: Path) -> None:
        stored(tmp_path, b"x", "elsewhere/2.png")
        root = stored(tmp_path, b"x", "root/1.png").parent
        (root / "up").symlink_to(tmp_path)
        listing = list_folder(root, "--pred")
        assert list(listing.images) == ["1"]
        assert listing.passed_over == {"links to folders that are listed already": 1}
