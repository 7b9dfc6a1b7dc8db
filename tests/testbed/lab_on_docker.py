"""What tests of the compose testbed share: labs as a person starts them, and what the engine and the host then hold."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.waiting import until

ROOT = Path(__file__).parents[2]
LIMIT_S = 100.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lab", *arguments]


def environment(net: str, **further: str) -> dict[str, str]:
    around = {name: value for name, value in os.environ.items() if not name.startswith("LAB_")}
    return around | {"LAB_NET": net, "PYTHONPATH": str(ROOT)} | further


def lab(net: str, *arguments: str, **further: str) -> subprocess.CompletedProcess[str]:
    """One command of the lab, to its end."""
    return subprocess.run(
        command(*arguments),
        env=environment(net, **further),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def start(net: str, *arguments: str, **further: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments),
        env=environment(net, **further),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def docker(*arguments: str) -> list[str]:
    """The words of its output."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def containers(net: str) -> list[str]:
    return docker("ps", "--all", "--quiet", "--filter", f"label=org.zero-window-lab.net={net}")


def networks(net: str) -> list[str]:
    return docker("network", "ls", "--quiet", "--filter", f"label=org.zero-window-lab.net={net}")


def bridge_stands(net: str) -> bool:
    return Path(f"/sys/class/net/br-{net}").exists()


def holds_nothing(net: str) -> bool:
    return not containers(net) and not networks(net) and not bridge_stands(net)


def wait_until(holds: Callable[[], object], running: Sequence[subprocess.Popen[str]] = (), limit_s: float = 60) -> None:
    def holds_now() -> object:
        assert all(each.poll() is None for each in running), [each.communicate() for each in running]
        return holds()

    until(holds_now, limit_s, pause_s=0.05)
