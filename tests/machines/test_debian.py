"""What a place is made of: the archive that the kernel unpacks, and where it is kept."""

import subprocess
from pathlib import Path

import pytest

from machines import debian


def test_the_first_root_is_an_archive_that_another_program_reads(tmp_path: Path) -> None:
    modules = {"virtio_blk.ko": b"\x7fELF block", "ext4.ko": b"\x7fELF file system!"}
    archive = debian.initrd(b"\x7fELF shell", modules)
    subprocess.run(["busybox", "cpio", "-i"], input=archive, cwd=tmp_path, check=True, capture_output=True)
    assert {name: (tmp_path / name).read_bytes() for name in modules} == modules
    assert (tmp_path / "bin/busybox").read_bytes() == b"\x7fELF shell"
    assert (tmp_path / "init").stat().st_mode & 0o111
    assert all((tmp_path / name).is_dir() for name in ("dev", "proc", "root", "sys"))


def test_modules_are_loaded_in_the_order_that_they_are_given() -> None:
    archive = debian.initrd(b"", {"virtio_ring.ko": b"", "virtio_blk.ko": b""})
    assert b"for module in virtio_ring.ko virtio_blk.ko;" in archive


def test_the_cache_lies_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LAB_PLACES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert debian.cache() == tmp_path / "zero-window-lab/places"
    monkeypatch.setenv("LAB_PLACES", str(tmp_path / "elsewhere"))
    assert debian.cache() == tmp_path / "elsewhere"


def test_what_was_cut_short_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAB_PLACES", str(tmp_path))

    def breaks(folder: Path) -> None:
        (folder / "half").touch()
        raise debian.PlaceError("no mirror")

    with pytest.raises(debian.PlaceError):
        debian.made("root", ("1",), breaks)
    whole = debian.made("root", ("1",), lambda folder: (folder / "whole").touch())
    assert [path.name for path in whole.iterdir()] == ["whole"]


def test_other_packages_are_another_folder_and_the_same_are_made_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAB_PLACES", str(tmp_path))
    times: list[Path] = []
    first = debian.made("root", ("python3",), times.append)
    assert debian.made("root", ("python3",), times.append) == first
    assert debian.made("root", ("python3", "kmod"), times.append) != first
    assert len(times) == 2
