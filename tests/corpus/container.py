"""A container without a network, from the lab's own image, for the client that `docker pause` is tried on."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.corpus.root import ROOT

IMAGE = "zero-window-lab-endpoint"
LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Container:
    """A running one, by its id, and the host's id of its first process."""

    id: str
    pid: int


@contextmanager
def running(argv: list[str]) -> Iterator[Container]:
    """`argv` in a container, with the corpus at hand; removed by its id on leaving, paused or not."""
    mounted = ("--volume", f"{ROOT}:/corpus:ro", "--workdir", "/corpus", "--user", "0")
    name = docker("run", "--detach", "--network", "none", *mounted, "--entrypoint", argv[0], IMAGE, *argv[1:])
    try:
        yield Container(name, int(docker("inspect", "--format", "{{.State.Pid}}", name)))
    finally:
        docker("rm", "--force", name)


def docker(*words: str) -> str:
    """What `docker WORDS...` prints."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"docker {words[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()
