"""Pretrained weights: the registry, finding, loading, downloading and bundling, without network.

Downloads come from a server in this process, which can break off, lie, and send the wrong bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch
import torch

from fhpt_eval import weights
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import InputError, StorageError, WeightsError
from fhpt_eval.weights.registry import PACKAGE, is_permitted, parse_registry
from tests.support.shipped import ship

STATE = {"layer.weight": torch.arange(60_000.0).reshape(200, 300), "layer.bias": torch.ones(200)}


def saved(state: object = STATE) -> bytes:
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


DATA = saved()
SAFE = safetensors.torch.save(STATE)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of weights of the test's own."""
    monkeypatch.setenv("FHPT_WEIGHTS", str(tmp_path / "weights"))
    yield tmp_path / "weights"
    weights.configure(None)


def listed(
    folder: Path, data: bytes = DATA, *addresses: str, name: str = "toy", size: bool = True
) -> None:  # fmt: skip
    """Add a network to the folder's own registry, as a lab would."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "registry.toml"
    text = path.read_text() if path.exists() else "schema_version = 1\n"
    digest = sha256(data)
    text += f'[weights.{name}]\nfile = "{name}.pth"\naddresses = {json.dumps(addresses)}\n'
    text += f'sha256 = "{digest}"\n'
    text += f"size = {len(data)}\n" if size else ""
    path.write_text(text)


@dataclass
class Served:
    """One path of the server: what it sends, and how it misbehaves."""

    data: bytes = DATA
    breaks_after: list[int] = field(default_factory=list)
    ranges: bool = True
    status: int = 200
    redirect: str = ""
    shift: int = 0
    length: bool = True


class Server:
    """A web server on this machine that remembers what it was asked for."""

    def __init__(self) -> None:
        self.paths: dict[str, Served] = {}
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def put(self, path: str, served: Served | None = None) -> str:
        self.paths[path] = served or Served()
        return f"http://127.0.0.1:{self.http.server_address[1]}{path}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
        served = self.paths.get(request.path, Served(status=404))
        if served.status >= 400:
            request.send_error(served.status)
            return
        if served.redirect:
            request.send_response(302)
            request.send_header("Location", served.redirect)
            request.end_headers()
            return
        start = int(re.sub(r"\D", "", wanted)) if wanted and served.ranges else 0
        if start and start >= len(served.data):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        if start:
            end = len(served.data)
            request.send_header("Content-Range", f"bytes {start + served.shift}-{end - 1}/{end}")
        body = served.data[start:]
        if served.length:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if served.breaks_after:
            body = body[: served.breaks_after.pop(0)]
        with contextlib.suppress(ConnectionError):
            request.wfile.write(body)

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


class TestTheRegistry:
    def test_every_network_of_the_package_states_all_that_a_user_needs_to_know(self) -> None:
        entries = weights.registered()
        assert {"inception-2015", "alexnet-imagenet", "vgg16-imagenet"} <= set(entries)
        for name, entry in entries.items():
            assert entry.name == name
            assert entry.title
            assert entry.licence
            assert entry.homepage
            assert bool(entry.addresses) != entry.shipped
            assert entry.shipped or (entry.citation and entry.homepage.startswith("https://"))
            assert all(address.startswith("https://") for address in entry.addresses)

    def test_digests_agree_with_the_digits_that_publishers_put_into_file_names(self) -> None:
        seen = 0
        for entry in weights.registered().values():
            digits = re.search(r"-([0-9a-f]{8})\.pth$", entry.file)
            if digits:
                assert entry.sha256.startswith(digits[1])
                seen += 1
        assert seen >= 5

    def test_a_folder_may_list_networks_of_its_own(self, folder: Path) -> None:
        listed(folder, name="ours")
        assert weights.registered()["ours"].sha256 == sha256(DATA)
        assert "inception-2015" in weights.registered()

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("schema_version = 2", "schema_version: must be 1"),
            ("weights = 3", "schema_version: is missing"),
            ("schema_version = 1\n[weights.a]\n", r"weights\.a\.file: is missing"),
            ("schema_version = 1\n[weights.A]\n", r"weights\.A: use lower-case"),
            ("schema_version = 1\n[weights.a]\nfile = 'a/b'\nsha256 = '{d}'", r"weights\.a\.file"),
            ("schema_version = 1\n[weights.a]\nfile = '../b'\nsha256 = '{d}'", r"weights\.a\.file"),
            ("schema_version = 1\n[weights.a]\nfile = 'a.part'\nsha256 = '{d}'", "may not end in"),
            ("schema_version = 1\n[weights.a]\nfile = 'a.pth'", r"a\.sha256: is missing"),
            ("schema_version = 1\n[weights.a]\nfile = 'a.pth'\nsha256 = 'abc'", r"a\.sha256: "),
            ("schema_version = 1\n[weights.a]\nfile = 'a.pth'\nsha257 = ''", "Did you mean 'sha2"),
            ("schema_version = 1\n[weights.a]\nfile = 'a'\nsha256 = '{d}'\nsize = -1", "size"),
            ("schema_version = 1\n[weights.a]\nname = 'b'", r"a\.name: there is no such key"),
            ("schema_version = 1\n[weights.vgg16-imagenet]\nfile = 'a'\nsha256 = '{d}'",
             "is a name of fhpt-eval's own registry"),
            ("schema_version = 1\n[weights.a]\nfile = 'vgg16-397923af.pth'\nsha256 = '{d}'",
             "is the file of vgg16-imagenet"),
            ("schema_version = 1\n[weights.a]\nfile = 'a'\nsha256 = '{d}'\nshipped = true",
             r"weights\.a\.shipped: only files of the package are shipped\. Leave this key out"),
            ("schema_version = 1\n[weights.a]\nfile = 'a'\nsha256 = '{d}'\nshipped = false",
             r"weights\.a\.shipped: only files of the package"),
            ("[", "is not valid TOML"),
        ],
    )  # fmt: skip
    def test_a_fault_in_it_is_named_with_file_and_key(
        self, folder: Path, text: str, told: str
    ) -> None:
        folder.mkdir()
        (folder / "registry.toml").write_text(text.replace("{d}", "0" * 64))
        with pytest.raises(WeightsError, match=told) as error:
            weights.registered()
        assert "registry.toml" in str(error.value)
        assert weights.available("inception-2015") == str(error.value)

    def test_a_registry_that_is_no_text_is_refused(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "registry.toml").write_bytes(b"\xff\xfe")
        with pytest.raises(WeightsError, match=r"registry\.toml, line 1: is not UTF-8 text"):
            weights.registered()

    @pytest.mark.parametrize(
        "address",
        ["http://example.org/a", "ftp://127.0.0.1/a", "/etc/passwd", "https:///a", "https://[",
         "file://host/a", "http://127.0.0.1.example.org/a", "https://a/b c", "javascript:0"],
    )  # fmt: skip
    def test_addresses_without_encryption_are_refused(self, address: str) -> None:
        assert not is_permitted(address)
        facts = f'file = "a"\nsha256 = "{"0" * 64}"\naddresses = [{json.dumps(address)}]'
        with pytest.raises(WeightsError, match="is not an https"):
            parse_registry(f"schema_version = 1\n[weights.a]\n{facts}", "r.toml")

    def test_weights_errors_are_errors_of_input(self) -> None:
        assert issubclass(WeightsError, InputError)


class TestTheFolder:
    def test_configure_goes_before_the_variable_and_that_before_the_cache(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert weights.folder() == folder
        weights.configure(tmp_path / "other")
        assert weights.folder() == tmp_path / "other"
        weights.configure(None)
        assert weights.folder() == folder
        monkeypatch.setenv("FHPT_WEIGHTS", "")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        assert weights.folder().name == "weights"
        assert "fhpt-eval" in str(weights.folder())


class TestFinding:
    def test_a_sound_file_is_found_by_name(self, folder: Path) -> None:
        listed(folder)
        (folder / "toy.pth").write_bytes(DATA)
        found = weights.find("toy")
        assert found == weights.Weights("toy", folder / "toy.pth", sha256(DATA))
        assert weights.available("toy") == ""
        assert weights.digest_of("toy") == sha256(DATA)

    def test_missing_weights_name_the_command_that_brings_them(self, folder: Path) -> None:
        with pytest.raises(WeightsError, match=r"fhpt-eval weights pull inception-2015$"):
            weights.find("inception-2015")
        assert weights.available("inception-2015") == (
            "needs the weights inception-2015 (fhpt-eval weights pull inception-2015)"
        )

    def test_the_command_names_a_folder_that_was_chosen(self, tmp_path: Path) -> None:
        weights.configure(tmp_path / "my weights")
        told = weights.available("inception-2015")
        assert f"pull inception-2015 --weights-dir '{tmp_path / 'my weights'}')" in told

    def test_the_digest_of_a_name_needs_no_file(self) -> None:
        digest = weights.digest_of("inception-2015")
        assert digest.startswith("6726825d")
        assert len(digest) == 64

    @pytest.mark.parametrize("size", [0, 1000, len(DATA) - 1, len(DATA) + 1])
    def test_a_file_of_another_size_is_not_used(self, folder: Path, size: int) -> None:
        listed(folder)
        (folder / "toy.pth").write_bytes((DATA + b"x")[:size])
        told = rf"toy\.pth has {size:,} bytes and should have {len(DATA):,}.*pull toy"
        with pytest.raises(WeightsError, match=told):
            weights.find("toy")
        assert re.search(told, weights.available("toy"))
        with pytest.raises(WeightsError, match=told):
            weights.load_state("toy")

    def test_a_file_of_the_right_size_and_wrong_bytes_is_not_used(self, folder: Path) -> None:
        listed(folder)
        wrong = DATA[:-1] + b"x"
        (folder / "toy.pth").write_bytes(wrong)
        assert weights.available("toy") == "", "cheap: looks at the size only"
        with pytest.raises(WeightsError) as error:
            weights.load_state("toy")
        for part in (sha256(wrong), sha256(DATA), "toy.pth", "weights pull toy", "not used"):
            assert part in str(error.value)

    def test_a_file_that_changes_in_a_process_is_checked_again(self, folder: Path) -> None:
        listed(folder)
        (folder / "toy.pth").write_bytes(DATA)
        weights.load_state("toy")
        (folder / "toy.pth").write_bytes(DATA[:-1] + b"x")
        os.utime(folder / "toy.pth", ns=(1, 1))
        with pytest.raises(WeightsError, match="is not what the registry calls toy"):
            weights.load_state("toy")

    def test_a_folder_in_the_files_place_is_told(self, folder: Path) -> None:
        listed(folder)
        (folder / "toy.pth").mkdir()
        assert "is not a file" in weights.available("toy")
        with pytest.raises(WeightsError, match="is not a file"):
            weights.find("toy")
        with pytest.raises(WeightsError, match="is not a file"):
            weights.pull(["toy"])

    def test_a_file_of_your_own_is_named_by_its_path(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.pth"
        path.write_bytes(DATA)
        for given in (path, str(path)):
            assert weights.find(given) == weights.Weights("mine.pth", path, sha256(DATA))
            assert weights.available(given) == ""
            assert weights.digest_of(given) == sha256(DATA)

    def test_a_registered_name_wins_over_a_file_of_that_name(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listed(folder)
        (folder / "toy.pth").write_bytes(DATA)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "toy").write_bytes(b"another file")
        assert weights.find("toy").sha256 == sha256(DATA)
        assert weights.find("./toy").sha256 == sha256(b"another file")

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ("inception-2051", "Did you mean 'inception-2015'"),
            ("nothing/here.pth", "There is no file nothing/here.pth"),
            ("here.pth", r"There is no file here\.pth"),
            ("/", "is not a file"),
            ("a\0b", "cannot be read|There are no weights"),
            ("x" * 5000, "cannot be read"),
            ("", "is not a file|no weights"),
        ],
    )
    def test_what_is_neither_a_name_nor_a_file_is_told(self, given: str, told: str) -> None:
        with pytest.raises(WeightsError, match=told):
            weights.find(given)
        assert re.search(told, weights.available(given))

    def test_an_empty_file_of_your_own_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "mine.pth").touch()
        with pytest.raises(WeightsError, match=r"mine\.pth has 0 bytes"):
            weights.find(tmp_path / "mine.pth")


class TestShippedFiles:
    @pytest.fixture
    def ours(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The file of "ours", in a package that ships it."""
        return ship(monkeypatch, tmp_path / "package", SAFE)

    def test_the_package_has_the_files_that_it_lists_and_no_others(self) -> None:
        listed = {entry.file: name for name, entry in weights.registered().items() if entry.shipped}
        assert {path.name for path in (PACKAGE / "networks").glob("*")} == set(listed)
        for name in listed.values():
            assert weights.find(name).path.parent == (PACKAGE / "networks")

    def test_a_build_of_the_package_has_what_lies_in_networks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        setuptools = pytest.importorskip("setuptools")
        shutil.copy(Path(__file__).parents[2] / "setup.cfg", tmp_path)
        (tmp_path / "README.md").touch()
        (tmp_path / "LICENSE").touch()
        (tmp_path / "fhpt_eval" / "weights" / "networks").mkdir(parents=True)
        (tmp_path / "fhpt_eval" / "metrics" / "data").mkdir(parents=True)
        (tmp_path / "fhpt_eval" / "metrics" / "data" / "ours.LICENSE.txt").touch()
        (tmp_path / "fhpt_eval" / "__init__.py").touch()
        for name in ("__init__.py", "weights.toml", "networks/ours.safetensors", "unlisted.txt"):
            (tmp_path / "fhpt_eval" / "weights" / name).touch()
        (tmp_path / "fhpt_eval" / "_version.py").write_text('__version__ = "0"\n')
        monkeypatch.chdir(tmp_path)
        package = setuptools.Distribution({"script_name": "setup.py"})
        package.parse_config_files(["setup.cfg"])
        build = package.get_command_obj("build_py")
        build.build_lib = str(tmp_path / "built")
        package.run_command("build_py")
        built = {path.name for path in (tmp_path / "built" / "fhpt_eval").rglob("*.*")}
        assert built == {"__init__.py", "_version.py", "weights.toml", "ours.safetensors"}

    def test_one_is_found_in_the_package_whatever_the_folder_of_weights(
        self, ours: Path, folder: Path
    ) -> None:
        folder.mkdir()
        (folder / ours.name).write_bytes(b"another file")
        assert weights.find("ours") == weights.Weights("ours", ours, sha256(SAFE))
        assert weights.available("ours") == ""
        assert weights.digest_of("ours") == sha256(SAFE)
        assert torch.equal(weights.load_state("ours")["layer.bias"], STATE["layer.bias"])

    def test_one_that_is_missing_asks_for_the_package_to_be_installed_again(
        self, ours: Path, tmp_path: Path
    ) -> None:
        ours.unlink()
        weights.configure(tmp_path / "chosen")
        assert weights.available("ours") == (
            "needs the weights ours (reinstall fhpt-eval, which brings this file)"
        )
        with pytest.raises(WeightsError, match="reinstall fhpt-eval") as error:
            weights.find("ours")
        assert str(ours) in str(error.value)
        assert "pull" not in str(error.value)
        assert weights.digest_of("ours") == sha256(SAFE)

    @pytest.mark.parametrize("data", [b"", SAFE[:-1], SAFE[:-1] + b"x", SAFE + b"x"])
    def test_one_that_is_damaged_is_not_used(self, ours: Path, data: bytes) -> None:
        ours.write_bytes(data)
        with pytest.raises(WeightsError, match=r"not used.*reinstall fhpt-eval") as error:
            weights.load_state("ours")
        assert "pull" not in str(error.value)

    def test_a_name_or_file_name_of_one_cannot_be_taken(self, ours: Path, folder: Path) -> None:
        listed(folder, name="ours")
        with pytest.raises(WeightsError, match=r"weights\.ours: is a name of fhpt-eval's own"):
            weights.registered()
        facts = f'file = "{ours.name}"\nsha256 = "{"0" * 64}"'
        (folder / "registry.toml").write_text(f"schema_version = 1\n[weights.mine]\n{facts}")
        with pytest.raises(WeightsError, match=r"ours\.safetensors is the file of ours"):
            weights.registered()

    @pytest.mark.parametrize(
        ("facts", "told"),
        [
            ("size = 1", r"sha256: is missing"),
            (f'sha256 = "{"0" * 64}"', "needs a size"),
            (f'sha256 = "{"0" * 64}"\nsize = 1\naddresses = ["https://a/b"]', "has no addresses"),
        ],
    )
    def test_an_entry_of_the_package_must_say_exactly_what_is_shipped(
        self, facts: str, told: str
    ) -> None:
        text = f'schema_version = 1\n[weights.a]\nfile = "a"\nshipped = true\n{facts}'
        with pytest.raises(WeightsError, match=told):
            parse_registry(text, "weights.toml", of_package=True)

    def test_pull_leaves_one_alone_and_makes_no_folder(self, ours: Path, folder: Path) -> None:
        assert weights.pull(["ours"], offline=True) == weights.pull(["ours"])
        assert weights.pull(["ours"]) == [weights.Weights("ours", ours, sha256(SAFE))]
        assert not folder.exists()
        assert [path.name for path in ours.parent.glob("ours*")] == [ours.name]

    @pytest.mark.parametrize("offline", [False, True])
    def test_pull_does_not_mend_one(self, ours: Path, folder: Path, offline: bool) -> None:
        ours.write_bytes(b"wrong")
        with pytest.raises(WeightsError, match="reinstall fhpt-eval") as error:
            weights.pull(["ours"], offline=offline)
        assert "weights pull" not in str(error.value)
        listed(folder)
        with pytest.raises(WeightsError, match=r"reinstall fhpt-eval") as error:
            weights.pull(["ours", "toy"], offline=offline)
        assert "  fhpt-eval weights pull toy\n" in str(error.value)
        assert ours.read_bytes() == b"wrong"

    def test_a_bundle_leaves_it_out(self, ours: Path, folder: Path, tmp_path: Path) -> None:
        listed(folder)
        (folder / "toy.pth").write_bytes(DATA)
        (packed,) = weights.write_bundle(["ours", "toy"], tmp_path / "weights.tar")
        assert packed.name == "toy"
        with tarfile.open(tmp_path / "weights.tar") as tar:
            assert tar.getnames() == ["toy.pth"]
        assert ours.exists()

    def test_a_bundle_of_nothing_else_is_not_written(self, ours: Path, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="nothing to bundle: ours is part of fhpt-eval"):
            weights.write_bundle(["ours"], tmp_path / "weights.tar")
        assert not (tmp_path / "weights.tar").exists()
        assert ours.exists()

    def test_none_is_taken_from_a_bundle(self, ours: Path, tmp_path: Path) -> None:
        path = packed(tmp_path / "b.tar", (ours.name, SAFE, REG))
        ours.unlink()
        with pytest.raises(
            WeightsError, match=r"lists no file 'ours\.safetensors' that is not shipped"
        ):
            weights.import_bundle(path)
        assert not ours.exists()


class Executed:
    """Pickled, it would make a file on being unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


class TestLoading:
    def test_pytorch_and_safetensors_give_the_same_tensors(self, tmp_path: Path) -> None:
        (tmp_path / "a.pth").write_bytes(DATA)
        safetensors.torch.save_file(STATE, tmp_path / "b.safetensors")
        torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
        for name in ("a.pth", "b.safetensors", "old.pth"):
            state = weights.load_state(tmp_path / name)
            assert set(state) == set(STATE)
            assert all(torch.equal(state[key], STATE[key]) for key in STATE)

    def test_parameters_become_plain_tensors(self, tmp_path: Path) -> None:
        (tmp_path / "a.pth").write_bytes(saved({"w": torch.nn.Parameter(torch.ones(2))}))
        state = weights.load_state(tmp_path / "a.pth")
        assert not state["w"].requires_grad

    def test_a_pickle_that_would_execute_code_does_not(self, tmp_path: Path) -> None:
        trap = tmp_path / "executed"
        for number, new in enumerate((True, False)):
            path = tmp_path / f"hostile{number}.pth"
            torch.save({"w": Executed(trap)}, path, _use_new_zipfile_serialization=new)
            with pytest.raises(WeightsError, match=rf"hostile{number}\.pth.*nothing is executed"):
                weights.load_state(path)
        assert not trap.exists()
        torch.load(path, weights_only=False)
        assert trap.exists(), "else the file would not have been hostile at all"

    @pytest.mark.parametrize(
        "content",
        [b"no weights at all", b"PK\x03\x04 and then nothing", b"\x80\x02}q\x00.", DATA[:5000],
         b"\xff" * 8 + b"{", b"\x02\0\0\0\0\0\0\0{}", b"<!DOCTYPE html>"],
    )  # fmt: skip
    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "broken.pth").write_bytes(content)
        with pytest.raises(WeightsError, match=r"broken\.pth"):
            weights.load_state(tmp_path / "broken.pth")

    @pytest.mark.parametrize(
        "value", [torch.ones(3), [torch.ones(3)], {"w": 1.0}, {1: torch.ones(1)}, {}, {"s": STATE}]
    )
    def test_a_file_that_is_no_state_dict_is_named(self, tmp_path: Path, value: object) -> None:
        (tmp_path / "other.pth").write_bytes(saved(value))
        with pytest.raises(WeightsError, match=r"other\.pth.*state dict"):
            weights.load_state(tmp_path / "other.pth")


class TestPulling:
    def test_a_file_is_downloaded_checked_and_loaded(self, folder: Path, server: Server) -> None:
        listed(folder, DATA, server.put("/toy"))
        (found,) = weights.pull(["toy"])
        assert found.path.read_bytes() == DATA
        assert torch.equal(weights.load_state("toy")["layer.bias"], STATE["layer.bias"])
        assert sorted(path.name for path in folder.iterdir()) == ["registry.toml", "toy.pth"]
        assert server.asked == [("/toy", None)]

    def test_what_is_there_is_not_downloaded_again(self, folder: Path, server: Server) -> None:
        listed(folder, DATA, server.put("/toy"))
        weights.pull(["toy", "toy"])
        weights.pull(["toy"])
        assert len(server.asked) == 1

    def test_what_is_there_and_wrong_is_replaced(self, folder: Path, server: Server) -> None:
        listed(folder, DATA, server.put("/toy"))
        (folder / "toy.pth").write_bytes(b"wrong")
        weights.pull(["toy"])
        assert (folder / "toy.pth").read_bytes() == DATA

    def test_a_connection_that_breaks_is_resumed(self, folder: Path, server: Server) -> None:
        listed(folder, DATA, server.put("/toy", Served(breaks_after=[1000, 2000])))
        weights.pull(["toy"])
        assert server.asked == [("/toy", None), ("/toy", "bytes=1000-"), ("/toy", "bytes=3000-")]
        assert weights.find("toy").sha256 == sha256(DATA)

    def test_a_half_finished_download_is_resumed_by_the_next_command(
        self, folder: Path, server: Server
    ) -> None:
        listed(folder, DATA, server.put("/toy", Served(breaks_after=[1000, 0])))
        with pytest.raises(WeightsError, match=f"ended after 1,000 of {len(DATA):,} bytes"):
            weights.pull(["toy"])
        assert (folder / "toy.pth.part").read_bytes() == DATA[:1000]
        assert not (folder / "toy.pth").exists()
        weights.pull(["toy"])
        assert server.asked[-1] == ("/toy", "bytes=1000-")
        assert weights.find("toy").sha256 == sha256(DATA)

    def test_a_server_without_ranges_sends_all_again(self, folder: Path, server: Server) -> None:
        listed(folder, DATA, server.put("/toy", Served(breaks_after=[1000], ranges=False)))
        weights.pull(["toy"])
        assert weights.find("toy").sha256 == sha256(DATA)

    @pytest.mark.parametrize("rest", [b"x" * 1000, DATA + b"more", b"x" * len(DATA)])
    def test_a_wrong_half_finished_download_costs_only_time(
        self, folder: Path, server: Server, rest: bytes
    ) -> None:
        listed(folder, DATA, server.put("/toy"))
        (folder / "toy.pth.part").write_bytes(rest)
        weights.pull(["toy"])
        assert weights.find("toy").sha256 == sha256(DATA)

    def test_a_whole_half_finished_download_is_not_fetched_again(
        self, folder: Path, server: Server
    ) -> None:
        listed(folder, DATA, server.put("/toy"))
        (folder / "toy.pth.part").write_bytes(DATA)
        weights.pull(["toy"])
        assert server.asked == []

    def test_a_file_of_unknown_size_is_resumed_too(self, folder: Path, server: Server) -> None:
        listed(folder, DATA, server.put("/toy"), size=False)
        (folder / "toy.pth.part").write_bytes(DATA[:7])
        weights.pull(["toy"])
        (folder / "toy.pth").rename(folder / "toy.pth.part")
        weights.pull(["toy"])  # the server answers 416: there is nothing behind the end
        assert [wanted for _, wanted in server.asked] == ["bytes=7-", f"bytes={len(DATA)}-", None]

    def test_a_server_that_sends_another_part_is_left(self, folder: Path, server: Server) -> None:
        listed(folder, DATA, server.put("/odd", Served(shift=5)), server.put("/toy"))
        (folder / "toy.pth.part").write_bytes(DATA[:7])
        weights.pull(["toy"])
        assert server.asked == [("/odd", "bytes=7-"), ("/toy", None)]

    def test_a_server_that_tells_no_length_will_do(self, folder: Path, server: Server) -> None:
        listed(folder, DATA, server.put("/toy", Served(length=False)), size=False)
        weights.pull(["toy"])
        assert weights.find("toy").sha256 == sha256(DATA)

    def test_the_next_address_is_tried_where_one_fails(self, folder: Path, server: Server) -> None:
        wrong = server.put("/wrong", Served(b"x" * len(DATA)))
        html = server.put("/html", Served(b"<html>log in first</html>"))
        gone = server.put("/gone", Served(status=404))
        nobody = "http://127.0.0.1:9/toy"
        listed(folder, DATA, gone, nobody, html, wrong, server.put("/right"))
        weights.pull(["toy"])
        assert [path for path, _ in server.asked] == ["/gone", "/html", "/wrong", "/right"]
        assert weights.find("toy").sha256 == sha256(DATA)

    def test_every_address_that_failed_is_listed_with_its_reason(
        self, folder: Path, server: Server
    ) -> None:
        wrong = server.put("/wrong", Served(b"x" * len(DATA)))
        addresses = [
            server.put("/gone", Served(status=404)), server.put("/busy", Served(status=503)), wrong,
            server.put("/short", Served(DATA[:100])), (folder / "none.pth").as_uri(),
        ]  # fmt: skip
        listed(folder, DATA, *addresses)
        with pytest.raises(WeightsError) as error:
            weights.pull(["toy"])
        told = str(error.value)
        assert all(address in told for address in addresses)
        reasons = (
            "404", "503", sha256(b"x" * len(DATA)), "offers 100 bytes instead of",
            "No such file", "weights bundle -o weights.tar toy", "weights import",
        )  # fmt: skip
        for reason in reasons:
            assert reason in told
        assert [path.name for path in folder.iterdir()] == ["registry.toml"]

    def test_a_server_that_never_stops_is_cut_off(self, folder: Path, server: Server) -> None:
        listed(folder, DATA, server.put("/toy", Served(DATA * 5, length=False)))
        with pytest.raises(WeightsError, match=f"sends more than {len(DATA):,} bytes"):
            weights.pull(["toy"])
        assert not (folder / "toy.pth.part").exists()

    def test_a_server_that_breaks_off_every_time_is_given_up(
        self, folder: Path, server: Server
    ) -> None:
        listed(folder, DATA, server.put("/toy", Served(breaks_after=[10] * 100)))
        with pytest.raises(WeightsError, match="broke off 5 times"):
            weights.pull(["toy"])
        assert (folder / "toy.pth.part").stat().st_size == 50

    def test_redirects_are_followed_but_not_to_anywhere(self, folder: Path, server: Server) -> None:
        good = server.put("/good", Served(redirect=server.put("/there")))
        bad = server.put("/bad", Served(redirect="http://example.org/toy"))
        local = server.put("/local", Served(redirect="file:///etc/passwd"))
        listed(folder, DATA, good)
        listed(folder, saved({"b": torch.ones(1)}), bad, local, name="other")
        weights.pull(["toy"])
        with pytest.raises(WeightsError, match=r"leads to 'http://example\.org/toy'"):
            weights.pull(["other"])

    def test_a_file_address_is_copied(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "a copy.pth").write_bytes(DATA)
        listed(folder, DATA, (tmp_path / "a copy.pth").as_uri())
        weights.pull(["toy"])
        assert weights.find("toy").sha256 == sha256(DATA)

    def test_one_that_fails_does_not_keep_the_others_away(
        self, folder: Path, server: Server
    ) -> None:
        listed(folder, DATA, server.put("/gone", Served(status=404)))
        listed(folder, DATA, server.put("/right"), name="second")
        with pytest.raises(WeightsError, match="toy could not be downloaded"):
            weights.pull(["toy", "second"])
        assert weights.find("second")

    def test_offline_never_tries_and_says_what_is_missing(
        self, folder: Path, server: Server
    ) -> None:
        listed(folder, DATA, server.put("/toy"))
        with pytest.raises(WeightsError, match=r"The weights toy are not here"):
            weights.pull(["toy"], offline=True)
        assert server.asked == []
        (folder / "toy.pth").write_bytes(DATA)
        assert weights.pull(["toy"], offline=True)[0].sha256 == sha256(DATA)

    def test_without_an_address_the_folder_is_named(self, folder: Path) -> None:
        listed(folder)
        with pytest.raises(WeightsError, match=r"has no address\. Put toy\.pth into"):
            weights.pull(["toy"])

    def test_two_processes_do_not_write_one_file(self, folder: Path, server: Server) -> None:
        fcntl = pytest.importorskip("fcntl")
        listed(folder, DATA, server.put("/toy"))
        with (folder / "toy.pth.part").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(WeightsError, match="by another process"):
                weights.pull(["toy"])
        weights.pull(["toy"])

    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path: Path, server: Server) -> None:
        (tmp_path / "file").touch()
        weights.configure(tmp_path / "file" / "weights")
        with pytest.raises(StorageError, match="--weights-dir"):
            weights.pull(["inception-2015"])

    def test_a_full_disk_is_told_and_what_has_come_is_kept(
        self, folder: Path, server: Server
    ) -> None:
        import resource

        listed(folder, DATA, server.put("/toy"))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(StorageError, match=r"toy\.pth\.part cannot be written"):
                weights.pull(["toy"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        weights.pull(["toy"])
        assert weights.find("toy").sha256 == sha256(DATA)

    def test_progress_is_told_in_megabytes(self, folder: Path, server: Server) -> None:
        class Told(Progress):
            def __init__(self) -> None:
                self.lines: list[str] = []

            def say(self, message: str) -> None:
                self.lines.append(message)

            def stage(self, name: str, total: int, unit: str = "") -> None:
                self.lines.append(f"{name} {total} {unit}")

            def advance(self, done: int, note: str = "") -> None:
                self.lines.append(f"{done}")

        data = saved({"w": torch.zeros(700_000)})
        listed(folder, data, server.put("/toy", Served(data)))
        told = Told()
        weights.pull(["toy"], told)
        assert told.lines[0] == "toy 3 MB"
        assert told.lines[-2:] == ["2", f"toy: {folder / 'toy.pth'}"]


Members = list[tuple[tarfile.TarInfo, bytes]]


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        info.linkname = "/etc/passwd"
    return info


def packed(path: Path, *members: tuple[str, bytes, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data, kind in members:
            tar.addfile(member(name, data, kind), io.BytesIO(data))
    return path


REG, SYM, LNK, FIFO, DIR = (
    tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE,
)  # fmt: skip


class TestBundles:
    @pytest.fixture
    def other(self, tmp_path: Path) -> Path:
        """The folder of another machine, whose registry is the same."""
        listed(tmp_path / "other")
        return tmp_path / "other"

    def test_a_bundle_of_one_folder_is_imported_into_another(
        self, folder: Path, other: Path, tmp_path: Path
    ) -> None:
        listed(folder)
        (folder / "toy.pth").write_bytes(DATA)
        weights.write_bundle(["toy"], tmp_path / "out" / "weights.tar")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["weights.tar"]
        weights.configure(other)
        (found,) = weights.import_bundle(tmp_path / "out" / "weights.tar")
        assert found == weights.Weights("toy", other / "toy.pth", sha256(DATA))
        assert weights.load_state("toy")
        assert sorted(path.name for path in other.iterdir()) == ["registry.toml", "toy.pth"]

    def test_it_is_a_tar_of_the_files_and_equal_content_gives_equal_bytes(
        self, folder: Path, tmp_path: Path
    ) -> None:
        listed(folder)
        (folder / "toy.pth").write_bytes(DATA)
        for name in ("a.tar", "b.tar"):
            weights.write_bundle(["toy"], tmp_path / name)
        assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
        with tarfile.open(tmp_path / "a.tar") as tar:
            assert tar.getnames() == ["toy.pth"]

    def test_what_is_missing_or_wrong_is_not_packed(self, folder: Path, tmp_path: Path) -> None:
        listed(folder)
        with pytest.raises(WeightsError, match="pull toy"):
            weights.write_bundle(["toy"], tmp_path / "weights.tar")
        (folder / "toy.pth").write_bytes(b"x" * len(DATA))
        with pytest.raises(WeightsError, match="is not what the registry calls toy"):
            weights.write_bundle(["toy"], tmp_path / "weights.tar")
        assert not (tmp_path / "weights.tar").exists()

    def test_files_outside_the_registry_are_not_packed(self, tmp_path: Path) -> None:
        (tmp_path / "mine.pth").write_bytes(DATA)
        with pytest.raises(WeightsError, match="Only weights of the registry can be bundled"):
            weights.write_bundle([str(tmp_path / "mine.pth")], tmp_path / "weights.tar")

    def test_a_bundle_that_cannot_be_written_is_told(self, folder: Path, tmp_path: Path) -> None:
        listed(folder)
        (folder / "toy.pth").write_bytes(DATA)
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match="cannot be written"):
            weights.write_bundle(["toy"], tmp_path / "file" / "weights.tar")

    @pytest.mark.parametrize(
        ("members", "told"),
        [
            ([], "holds no weights"),
            ([("stranger.pth", DATA, REG)], "registry here lists no file 'stranger.pth'"),
            ([("mannequin-pose.safetensors", DATA, REG)], "no file 'mannequin-pose.safetensors'"),
            ([("../toy.pth", DATA, REG)], "plain names only"),
            ([("/tmp/toy.pth", DATA, REG)], "plain names only"),  # noqa: S108
            ([("a\\toy.pth", DATA, REG)], "plain names only"),
            ([("toy.pth", b"", SYM)], "not a plain file"),
            ([("toy.pth", b"", LNK)], "not a plain file"),
            ([("toy.pth", b"", FIFO)], "not a plain file"),
            ([("toy.pth", b"", DIR)], "not a plain file"),
            ([("registry.toml", b"x", REG)], "lists no file"),
            ([("toy.pth", DATA, REG), ("toy.pth", DATA, REG)], "twice"),
            ([("toy.pth", b"", REG)], "has 0 bytes"),
            ([("toy.pth", DATA + b"x", REG)], "and should have"),
            ([("toy.pth", b"x" * len(DATA), REG)], "and should have"),
        ],
    )
    def test_a_hostile_or_broken_bundle_leaves_nothing_behind(
        self, folder: Path, tmp_path: Path, members: list[tuple[str, bytes, bytes]], told: str
    ) -> None:
        listed(folder)
        with pytest.raises(WeightsError, match=told) as error:
            weights.import_bundle(packed(tmp_path / "hostile.tar", *members))
        assert "hostile.tar" in str(error.value)
        assert [path.name for path in folder.iterdir()] == ["registry.toml"]

    def test_one_bad_file_keeps_all_out(self, folder: Path, tmp_path: Path) -> None:
        listed(folder)
        listed(folder, DATA, name="second")
        path = packed(
            tmp_path / "b.tar", ("toy.pth", DATA, REG), ("second.pth", b"x" * len(DATA), REG)
        )
        with pytest.raises(WeightsError, match=r"second\.pth"):
            weights.import_bundle(path)
        assert not (folder / "toy.pth").exists()

    @pytest.mark.parametrize("where", [100, 700, 1500, 100_000])
    def test_a_bundle_that_was_cut_off_is_refused(
        self, folder: Path, tmp_path: Path, where: int
    ) -> None:
        listed(folder)
        path = packed(tmp_path / "b.tar", ("toy.pth", DATA, REG))
        path.write_bytes(path.read_bytes()[:where])
        with pytest.raises(WeightsError, match=r"b\.tar"):
            weights.import_bundle(path)
        assert [path.name for path in folder.iterdir()] == ["registry.toml"]

    def test_a_bundle_that_was_cut_off_between_two_files_is_refused(
        self, folder: Path, tmp_path: Path
    ) -> None:
        listed(folder)
        listed(folder, DATA, name="second")
        path = packed(tmp_path / "b.tar", ("toy.pth", DATA, REG), ("second.pth", DATA, REG))
        path.write_bytes(path.read_bytes()[: 512 + 512 * -(-len(DATA) // 512)])
        with pytest.raises(WeightsError, match="was cut off"):
            weights.import_bundle(path)
        assert not (folder / "toy.pth").exists()

    @pytest.mark.parametrize(
        "content", [b"", b"x", b"x" * 5000, b"\0" * 512, b"\0" * 5000, b"\x1f\x8b" + b"x" * 600]
    )
    def test_what_is_no_tar_file_is_refused(
        self, folder: Path, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "b.tar").write_bytes(content)
        with pytest.raises(WeightsError, match=r"b\.tar"):
            weights.import_bundle(tmp_path / "b.tar")

    @pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
    def test_a_header_that_asks_for_much_memory_is_refused(
        self, folder: Path, tmp_path: Path, kind: bytes
    ) -> None:
        listed(folder)
        info = member("long", kind=kind)
        info.size = 8 * 2**30
        (tmp_path / "b.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT))
        with pytest.raises(WeightsError, match="a header is too large"):
            weights.import_bundle(tmp_path / "b.tar")

    def test_a_bundle_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.tar", tmp_path):
            with pytest.raises(WeightsError, match="cannot be read"):
                weights.import_bundle(path)


def test_nothing_in_this_file_needs_the_network(make_offline: Callable[[], None]) -> None:
    make_offline()
    with pytest.raises(WeightsError, match="could not be downloaded") as error:
        weights.pull(["inception-2015"])
    assert str(error.value).count("https://") == 2


@pytest.fixture
def make_offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after which no name is resolved, as on a machine without network."""
    import socket

    def refuse(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    return lambda: monkeypatch.setattr(socket, "getaddrinfo", refuse)
