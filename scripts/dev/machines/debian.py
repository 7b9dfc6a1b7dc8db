"""What a place is made of: kernels and a root file system, from Debian's packages by scripts/dev/debs, kept in a cache.

Nothing is installed on this machine. Whatever is in the cache is whole: it is made beside its name, and renamed.
"""

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from machines.place import Kernel

PROJECT = Path(__file__).resolve().parents[3]
SUITE = "trixie"
"""Of the root file system, under every kernel: Python 3.13, Docker 26 with Compose 2."""
PACKAGES = (
    *("base-files", "libc-bin", "bash", "coreutils", "dash", "findutils", "grep", "procps", "sed", "busybox-static"),
    *("python3", "kmod", "iproute2", "apparmor", "iptables", "docker.io", "docker-cli", "docker-compose"),
    "ca-certificates",
)
PYTHON = "3.13"
KERNEL_PACKAGES = ("linux-image-cloud-amd64", "liblzma5")
"""The library unpacks modules for depmod, which is content without it and then finds nothing."""
FIRST_MODULES = ("virtio_pci", "virtio_blk", "ext4")
"""What is needed to mount the root file system."""
IMAGES = ("zero-window-lab-endpoint", "zero-window-lab-controller")
FORMAT = "1"
"""To be counted up when the same packages are to be made into something else here."""


class PlaceError(Exception):
    """A place cannot be made or booted here; says what to do."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The files that QEMU boots."""

    kernel: Path
    initrd: Path
    root: Path
    modules: Path


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("LAB_PLACES") or Path(base) / "zero-window-lab/places")


def machine(kernel: Kernel) -> Machine:
    """That kernel and the root file system, from the cache; made first if they are not there."""
    root = _root()
    folder = _kernel(kernel, root)
    return Machine(folder / "vmlinuz", folder / "initrd", root / "root.img", folder / "modules.img")


@contextmanager
def project(tree: Path, job: Path | None) -> Iterator[Path]:
    """An image with that clone as it is now, what runs inside, and a file to be run."""
    with tempfile.TemporaryDirectory(prefix="places-") as work:
        made = Path(work) / "made"
        shutil.copytree(
            PROJECT / "scripts/dev/machines", made / "machines", ignore=shutil.ignore_patterns("__pycache__")
        )
        listed = _run("git", "-C", tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        for name in (*filter(None, listed), ".env"):  # the last has the images' base
            if (tree / name).is_file():
                (made / "project" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(tree / name, made / "project" / name)
        (made / "job").mkdir()
        if job:
            shutil.copy2(job, made / "job" / job.name)
        yield _image(made, Path(work) / "project.img", spare_mb=1536)


@contextmanager
def docker_images(tree: Path) -> Iterator[Path]:
    """The lab's images, built by this host's engine, as one archive."""
    with tempfile.TemporaryDirectory(prefix="places-") as work:
        _run(tree / "scripts/images")
        archive = Path(work) / "images.tar"
        _run("docker", "save", "--output", archive, *IMAGES)
        yield archive


def _root() -> Path:
    lock = PROJECT / "requirements.txt"
    return made("root", (FORMAT, SUITE, *PACKAGES, lock.read_text()), _make_root)


def _make_root(folder: Path) -> None:
    tree = _unpacked(SUITE, folder / "tree", *PACKAGES)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nperson:x:1000:1000::/tmp:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\nperson:x:1000:\ndocker:x:101:\n")
    for name in ("dev", "lab", "proc", "root", "run", "sys", "tmp", "usr/lib/modules"):
        (tree / name).mkdir(exist_ok=True)
    for name in ("iptables", "ip6tables"):  # what update-alternatives would have done
        (tree / "usr/sbin" / name).symlink_to("xtables-nft-multi")
    binary = ("--only-binary", ":all:", "--python-version", PYTHON, "--target", tree / "usr/lib/python3/dist-packages")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
    _run(*pip, "--require-hashes", "--no-deps", *binary, "--requirement", PROJECT / "requirements.txt")
    _run("chroot", tree, "ldconfig")
    _run("chroot", tree, "python3", "-m", "compileall", "-q", f"/usr/lib/python{PYTHON}", "/usr/lib/python3")
    shutil.copy2(tree / "usr/bin/busybox", folder / "busybox")
    _image(tree, folder / "root.img", spare_mb=2048)
    shutil.rmtree(tree)


def _kernel(kernel: Kernel, root: Path) -> Path:
    return made(
        kernel.name,
        (FORMAT, kernel.suite, *KERNEL_PACKAGES),
        lambda folder: _make_kernel(folder, kernel, root / "busybox"),
    )


def _make_kernel(folder: Path, kernel: Kernel, busybox: Path) -> None:
    tree = _unpacked(kernel.suite, folder / "tree", *KERNEL_PACKAGES)
    (modules,) = (tree / "lib/modules").iterdir()
    release = modules.name
    _run("chroot", tree, "depmod", release)
    listed = [
        _run("chroot", tree, "modprobe", "--set-version", release, "--show-depends", name) for name in FIRST_MODULES
    ]
    names = dict.fromkeys(word for text in listed for word in text.split() if word.startswith("/"))
    files = {Path(name).name: (tree / name.lstrip("/")).read_bytes() for name in names}
    (kernel_file,) = (*tree.glob("boot/vmlinuz-*"), *modules.glob("vmlinuz"))
    shutil.copy2(kernel_file, folder / "vmlinuz")
    (folder / "initrd").write_bytes(initrd(busybox.read_bytes(), files))
    _image(modules.parent.resolve(), folder / "modules.img", spare_mb=4)
    shutil.rmtree(tree)


INIT = """#!/bin/busybox sh
busybox mount -t proc proc /proc; busybox mount -t sysfs sys /sys; busybox mount -t devtmpfs dev /dev
for module in {modules}; do busybox insmod /$module; done
busybox mount -t ext4 /dev/vda /root && busybox mount -t ext4 -o ro /dev/vdb /root/usr/lib/modules &&
    busybox mount -t ext4 /dev/vdc /root/lab || busybox poweroff -f
for each in proc sys dev; do busybox mount --move /$each /root/$each; done
exec busybox switch_root /root /usr/bin/python3 -B /lab/machines/guest.py "$@"
"""


def initrd(busybox: bytes, modules: dict[str, bytes]) -> bytes:
    """A cpio archive of the kind "newc" (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst)."""
    init = INIT.format(modules=" ".join(modules)).encode()
    folders = dict.fromkeys(("bin", "dev", "proc", "root", "sys"), (stat.S_IFDIR | 0o755, b""))
    programs = {"bin/busybox": busybox, "init": init, **modules}
    entries = folders | {name: (stat.S_IFREG | 0o755, data) for name, data in programs.items()}
    archive = b""
    for number, (name, (mode, data)) in enumerate((entries | {"TRAILER!!!": (0, b"")}).items()):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        archive += _padded(header) + _padded(data)
    return archive


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def made(name: str, key: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    """The folder of that name and key; made by `make`, by one process at a time, if it is not there."""
    folder = cache() / f"{name}-{sha256(repr(key).encode()).hexdigest()[:12]}"
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            print(f"places: making {folder} from Debian's packages (once)", file=sys.stderr)
            with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=cache()) as work:
                made = Path(work) / "made"
                made.mkdir()
                make(made)
                made.rename(folder)
    return folder


def _unpacked(suite: str, tree: Path, *packages: str) -> Path:
    """These and all that they need, in a tree with the merged /usr of today's Debian."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    _run(PROJECT / "scripts/dev/debs", suite, tree, "--closure", *packages)
    return tree


def _image(tree: Path, image: Path, spare_mb: int) -> Path:
    """An ext4 file system of the tree, with that much room left."""
    used_kb = int(_run("du", "--summarize", "--block-size=1K", tree).split()[0])
    kb = used_kb * 5 // 4 + (spare_mb << 10)
    _run("mke2fs", "-q", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-d", tree, image, f"{kb}k")
    return image


def _run(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PlaceError(f"{argv[0]} {argv[1]} failed: {done.stderr.strip()[-400:]}")
    return done.stdout
