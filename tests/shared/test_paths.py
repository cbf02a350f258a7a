"""A user's path never leads out of the roots."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_shared import paths
from homeport_shared.errors import HomeportError
from homeport_shared.folders import ResolvedFolder, is_temporary, open_folder, single
from homeport_shared.paths import Place, Root, Roots, show, unshow

SECRET = b"outside"


@pytest.fixture(params=["descriptors", "resolved"])
def roots(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roots:
    """Two roots beside a folder that is none, with both kinds of handle."""
    if request.param == "resolved":  # what Windows uses, run here as well
        monkeypatch.setattr(paths, "open_folder", ResolvedFolder)
    base = tmp_path.resolve()
    for name in ("docs", "docs-private", "other"):
        (base / name / "sub").mkdir(parents=True)
        (base / name / "a.txt").write_bytes(b"inside" if name != "docs-private" else SECRET)
    return Roots([Root("docs", base / "docs"), Root("other", base / "other")])


def read(roots: Roots, path: str) -> bytes:
    with paths.explained(path), roots.find(path) as spot:
        if not spot.name:
            raise IsADirectoryError(21, "a root", path)
        with spot.folder.open(spot.name) as file:
            return file.read()


def refused(roots: Roots, path: str) -> HomeportError:
    with pytest.raises(HomeportError) as caught:
        read(roots, path)
    return caught.value


@pytest.mark.parametrize(
    "path",
    [
        "docs/../docs-private/a.txt",
        "docs/sub/../../docs-private/a.txt",
        "../docs-private/a.txt",
        "docs-private/a.txt",
        "/etc/passwd",
        "/",
        "",
        ".",
        "docs/a.txt\0.png",
        "{base}/docs-private/a.txt",
        "{base}/docs/../docs-private/a.txt",
        "~/a.txt",
    ],
)
def test_a_path_that_leads_out_is_refused_with_the_roots_named(roots: Roots, tmp_path: Path, path: str) -> None:
    error = refused(roots, path.format(base=tmp_path.resolve()))
    assert error.code == "denied"
    assert "docs = " in error.message
    assert "\0" not in show(error.hint)


@pytest.mark.parametrize("path", ["docs/a.txt", "docs//sub/./../a.txt", "{base}/docs/a.txt", "other/a.txt"])
def test_a_path_inside_is_found_by_root_name_or_absolute(roots: Roots, tmp_path: Path, path: str) -> None:
    assert read(roots, path.format(base=tmp_path.resolve())) == b"inside"


@pytest.mark.parametrize(
    "target", ["../docs-private/a.txt", "{base}/docs-private/a.txt", "/etc/passwd", "sub/../../docs-private/a.txt"]
)
def test_a_link_that_leads_out_is_refused(roots: Roots, tmp_path: Path, target: str) -> None:
    (tmp_path / "docs" / "link").symlink_to(target.format(base=tmp_path.resolve()))
    assert refused(roots, "docs/link").code == "denied"


def test_a_folder_link_that_leads_out_is_refused(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "docs" / "link").symlink_to("../docs-private")
    assert refused(roots, "docs/link/a.txt").code == "denied"


def test_a_dangling_link_that_leads_out_cannot_be_written_through(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "docs" / "link").symlink_to("../docs-private/new.txt")
    with pytest.raises(HomeportError, match="not inside"):
        roots.find("docs/link", make=True)
    assert not (tmp_path / "docs-private" / "new.txt").exists()


@pytest.mark.parametrize(
    "target", ["sub/../a.txt", "./a.txt", "{base}/docs/a.txt", "../docs/a.txt", "{base}/other/a.txt"]
)
def test_a_link_that_stays_inside_works(roots: Roots, tmp_path: Path, target: str) -> None:
    (tmp_path / "docs" / "link").symlink_to(target.format(base=tmp_path.resolve()))
    if target.startswith("../"):  # leaves the root on its way, even though it comes back
        assert refused(roots, "docs/link").code == "denied"
    else:
        assert read(roots, "docs/link") == b"inside"


def test_links_in_a_circle_end(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "docs" / "one").symlink_to("two")
    (tmp_path / "docs" / "two").symlink_to("one")
    assert refused(roots, "docs/one").code == "denied"


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:  # not root: a FIFO stands for it
        os.mkfifo(path)


def test_a_file_is_read_in_one_step_up_to_a_limit_also_when_it_has_grown(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"0123456789")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "link.txt").symlink_to("a.txt")
    with open_folder(tmp_path, "docs") as folder:
        assert folder.read("a.txt", 100) == b"0123456789"
        assert folder.read("a.txt", 4) == b"0123"
        assert folder.read("empty.txt", 4) == b""
        with pytest.raises((HomeportError, OSError)):
            folder.read("link.txt", 100)
        with pytest.raises((HomeportError, OSError)):
            folder.read("none.txt", 100)


@pytest.mark.parametrize("make", [os.mkfifo, _socket, _device])
def test_what_is_no_regular_file_is_refused_and_never_hangs(
    roots: Roots, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "docs" / "odd")
    assert refused(roots, "docs/odd").code == "unsupported"


def test_a_missing_file_and_a_vanished_root_say_so(roots: Roots, tmp_path: Path) -> None:
    assert refused(roots, "docs/none.txt").code == "not_found"
    assert refused(roots, "docs/none/none.txt").code == "not_found"
    assert refused(roots, "docs/a.txt/x").code == "not_found"
    (tmp_path / "other").rename(tmp_path / "gone")
    assert refused(roots, "other/a.txt").code == "unavailable"


def test_homeports_own_folder_is_closed_below_a_root(tmp_path: Path) -> None:
    base = tmp_path.resolve()
    (base / "home" / "host").mkdir(parents=True)
    (base / "home" / "host" / "key").write_bytes(SECRET)
    roots = Roots([Root("all", base)], closed=[base / "home"])
    error = refused(roots, "all/home/host/key")
    assert (error.code, "belongs to Homeport" in error.message) == ("denied", True)


@pytest.mark.parametrize("folder", ["home", "home/host", "link"])
def test_homeports_own_folder_cannot_be_a_root(folder: str, tmp_path: Path) -> None:
    base = tmp_path.resolve()
    (base / "home" / "host").mkdir(parents=True)
    (base / "home" / "host" / "key").write_bytes(SECRET)
    (base / "link").symlink_to(base / "home" / "host")
    roots = Roots([Root("own", base / folder)], closed=[base / "home"])
    for path in ("own", "own/key", "own/host/key", str(base / folder / "key")):
        assert refused(roots, path).code == "denied"
    with pytest.raises(HomeportError, match="belongs to Homeport itself"):
        roots.add(Root("again", base / folder))


def test_what_homeport_keeps_for_its_user_can_be_a_root(tmp_path: Path) -> None:
    folder = tmp_path.resolve() / "home" / "workspace"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"mine")
    roots = Roots([Root("workspace", folder)], closed=[tmp_path / "home"])
    with roots.find("workspace/a.txt") as spot, spot.folder.open(spot.name) as file:
        assert file.read() == b"mine"


def test_a_folder_swapped_for_a_link_during_the_walk_never_lets_out(roots: Roots, tmp_path: Path) -> None:
    swapped, stop = tmp_path / "docs" / "swapped", threading.Event()
    for name in ("real", "link"):
        (tmp_path / f"{name}-kept").mkdir()
    (tmp_path / "real-kept" / "a.txt").write_bytes(b"inside")
    (tmp_path / "link").symlink_to(tmp_path.resolve() / "docs-private")
    (tmp_path / "real-kept").rename(swapped)

    def swap() -> None:
        while not stop.is_set():
            swapped.rename(tmp_path / "aside")
            (tmp_path / "link").rename(swapped)
            swapped.rename(tmp_path / "link")
            (tmp_path / "aside").rename(swapped)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(2000):
            try:
                assert read(roots, "docs/swapped/a.txt") == b"inside"
            except HomeportError as error:
                assert error.code in {"denied", "not_found"}
    finally:
        stop.set()
        thread.join()


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(st.sampled_from(["..", ".", "", "sub", "a.txt", "up", "out", "back"]), max_size=8))
def test_no_combination_of_steps_reads_what_is_outside(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    with _tree(tmp_path_factory) as roots:
        try:
            assert read(roots, "/".join(["docs", *steps])) == b"inside"
        except HomeportError as error:
            assert error.code in {"denied", "not_found", "unsupported"}


class _tree:  # noqa: N801 - reads as a function
    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self.base = factory.getbasetemp().resolve() / "tree"

    def __enter__(self) -> Roots:
        docs = self.base / "docs"
        if not docs.exists():
            (docs / "sub").mkdir(parents=True)
            (self.base / "docs-private").mkdir()
            (self.base / "docs-private" / "a.txt").write_bytes(SECRET)
            (self.base / "a.txt").write_bytes(SECRET)
            (docs / "a.txt").write_bytes(b"inside")
            (docs / "sub" / "a.txt").write_bytes(b"inside")
            (docs / "up").symlink_to("..")
            (docs / "out").symlink_to(self.base / "docs-private")
            (docs / "sub" / "back").symlink_to("..")
        return Roots([Root("docs", docs)])

    def __exit__(self, *_: object) -> None: ...


@given(st.binary(min_size=1, max_size=30).filter(lambda raw: not set(raw) & {0, 0x2F}))
def test_every_name_can_be_shown_as_text_and_found_again(raw: bytes) -> None:
    name = os.fsdecode(raw)
    shown = show(name)
    shown.encode("utf-8")
    assert unshow(shown) == name


@given(st.text(max_size=40))
def test_any_path_gives_a_spot_or_a_plain_error(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    with _tree(tmp_path_factory) as roots:
        try:
            roots.find(path).__exit__(None, None, None)
        except HomeportError as error:
            assert error.code in {"denied", "not_found", "invalid"}


def test_a_write_replaces_in_one_step_and_keeps_permissions(roots: Roots, tmp_path: Path) -> None:
    target = tmp_path / "docs" / "a.txt"
    target.chmod(0o640)
    with roots.find("docs/a.txt") as spot:
        spot.folder.put(spot.name, [b"new ", b"text"], like=spot.status())
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"new text", 0o640)


def test_a_write_does_not_reach_through_a_hard_link(roots: Roots, tmp_path: Path) -> None:
    os.link(tmp_path / "docs-private" / "a.txt", tmp_path / "docs" / "hard.txt")
    with roots.find("docs/hard.txt") as spot:
        spot.folder.put(spot.name, [b"new"], like=spot.status())
    assert (tmp_path / "docs-private" / "a.txt").read_bytes() == SECRET


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(roots: Roots, tmp_path: Path) -> None:
    def failing() -> Generator[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    with roots.find("docs/a.txt") as spot, pytest.raises(OSError, match="No space"):
        spot.folder.put(spot.name, failing(), like=spot.status())
    assert (tmp_path / "docs" / "a.txt").read_bytes() == b"inside"
    assert sorted(path.name for path in (tmp_path / "docs").iterdir()) == ["a.txt", "sub"]


def test_a_write_over_a_file_that_changed_meanwhile_is_a_conflict(roots: Roots, tmp_path: Path) -> None:
    with roots.find("docs/a.txt") as spot:
        seen = spot.status()
        (tmp_path / "docs" / "a.txt").write_bytes(b"somebody else")
        with pytest.raises(HomeportError, match="somebody else"):
            spot.folder.put(spot.name, [b"mine"], like=seen)
    assert (tmp_path / "docs" / "a.txt").read_bytes() == b"somebody else"


def test_what_killed_writers_left_is_swept_when_it_is_old(roots: Roots, tmp_path: Path) -> None:
    old, fresh = tmp_path / "docs" / ".homeport-1.tmp", tmp_path / "docs" / ".homeport-2.tmp"
    old.write_bytes(b"")
    fresh.write_bytes(b"")
    os.utime(old, (1, 1))
    with roots.find("docs") as spot:
        spot.enter().sweep()
    assert (old.exists(), fresh.exists(), is_temporary(fresh.name)) == (False, True, True)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_a_folder_takes_names_not_paths(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of one entry"):
        single(name)


def test_the_place_of_what_is_gone_is_known_by_its_words(roots: Roots, tmp_path: Path) -> None:
    assert roots.place("docs/gone/a.txt") == Place("docs", ("gone", "a.txt"))
    assert roots.place(f"{tmp_path.resolve()}/docs/gone") == Place("docs", ("gone",))
    with pytest.raises(HomeportError):
        roots.place("docs/../x")


def test_missing_folders_on_the_way_are_made_when_asked(roots: Roots, tmp_path: Path) -> None:
    with roots.find("docs/new/deep/file.txt", make=True) as spot:
        spot.folder.put(spot.name, [b"x"])
    assert (tmp_path / "docs" / "new" / "deep" / "file.txt").read_bytes() == b"x"


def test_handles_are_given_back(roots: Roots) -> None:
    calls = 100
    before = os.dup(0)  # the next free descriptor; other threads of this process may take a few meanwhile
    for path in ("docs/sub/../a.txt", "docs/none/x", "docs/../x") * calls:
        with contextlib.suppress(HomeportError):
            read(roots, path)
    after = os.dup(0)
    os.close(before)
    os.close(after)
    assert after < before + calls


def test_the_strongest_handle_is_chosen(tmp_path: Path) -> None:
    with open_folder(tmp_path.resolve(), "x") as folder:
        assert isinstance(folder, ResolvedFolder) == (os.open not in os.supports_dir_fd)
