"""Two namespaces and a cable stand for the containers, and nothing is left of them, however the lab ends."""

import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.experiment import play
from lab.kernel.place import sysctl
from lab.kernel.place.netns import Namespace
from lab.proof.judge import judge
from lab.spec import Outcome, Role
from lab.testbed import catalogue, netns
from tests.commanded import ROOT, Said, below, ending, endpoints, parent_of, started
from tests.played import specified
from tests.waiting import LIMIT_S, seen


def devices() -> set[str]:
    """Links of this host, without those of containers, which come and go meanwhile."""
    lines = Path("/proc/self/net/dev").read_text().splitlines()[2:]
    names = {line.partition(":")[0].strip() for line in lines}
    return {name for name in names if not name.startswith(("veth", "br-", "docker", "zw-"))}


def orphans() -> set[int]:
    """Endpoints whose lab is gone."""
    return {pid for pid in endpoints() if parent_of(pid) == 1}


class Witnessed:
    """A lab that is watched from its start: each of its processes by a descriptor.

    Its namespaces and its cable have no names: they last as long as a process is in them, which is the kernel's rule.
    """

    def __init__(self, stack: ExitStack, *arguments: str | Path) -> None:
        self.before = devices()
        self.process = started("run", "--format", "json", *arguments)
        stack.callback(self.process.wait, LIMIT_S)
        stack.callback(self.process.kill)
        self._stack = stack
        self.pidfds: dict[int, int] = {}

    def look(self, until_s: float, endpoints_wanted: int | None = None) -> None:
        """Note all processes that it starts, for `until_s` or until this many endpoints run."""
        deadline = time.monotonic() + until_s
        while time.monotonic() < deadline and self.process.poll() is None:
            family = below(self.process.pid)
            for pid, _ in family:
                self._note(pid)
            if endpoints_wanted is not None and sum("lab.endpoint" in line for _, line in family) >= endpoints_wanted:
                return
            time.sleep(0.002)

    def _note(self, pid: int) -> None:
        try:
            if pid not in self.pidfds:
                self.pidfds[pid] = os.pidfd_open(pid)
                self._stack.callback(os.close, self.pidfds[pid])
        except (FileNotFoundError, ProcessLookupError):
            return

    def end(self, number: signal.Signals) -> Said:
        for pid, _ in below(self.process.pid):
            self._note(pid)
        self.process.send_signal(number)
        return ending(self.process)

    def has_left_nothing(self) -> None:
        for pid, pidfd in self.pidfds.items():
            assert select.select([pidfd], [], [], LIMIT_S)[0], f"process {pid} lives on"
        seen(orphans, lambda living: not living, what="the end of endpoints that were not seen to start")
        assert devices() == self.before


def test_a_site_is_two_hosts_and_their_programs_wait_before_any_socket_of_theirs() -> None:
    before = os.readlink("/proc/self/ns/net")
    with catalogue()["netns"].site(specified()) as site:
        spaces = {os.readlink(f"/proc/{site.programs[role].host_pid}/ns/net") for role in Role}
        assert len(spaces) == 2
        assert before not in spaces
        assert [site.addresses[role] for role in Role] == ["198.18.20.20", "198.18.20.10"]
        for role in Role:
            with Namespace.of(site.programs[role].host_pid) as host:
                table = host.call(Path("/proc/thread-self/net/tcp").read_text)
            assert len(table.splitlines()) == 1, "no TCP socket yet"
        assert str(site.programs.client.host_pid) in site.standing
    assert os.readlink("/proc/self/ns/net") == before


def test_kill_9_at_ten_random_instants_leaves_nothing(tmp_path: Path) -> None:
    """The kernel kills the endpoints with the lab, and removes the namespaces and the cable after them."""
    draw = random.Random(9)
    for turn in range(10):
        with ExitStack() as stack:
            lab = Witnessed(stack, "--runs", tmp_path)
            lab.look(LIMIT_S, endpoints_wanted=(0, 1, 2, 4, 4)[turn % 5])
            lab.look(draw.uniform(0, 0.4))
            lab.end(signal.SIGKILL)
            lab.has_left_nothing()


@pytest.mark.parametrize("wanted", [1, 2, 4])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_with_its_code_and_nothing_is_left(
    number: signal.Signals, code: int, wanted: int, tmp_path: Path
) -> None:
    """While it starts its endpoints, while it waits for them, and while they play."""
    with ExitStack() as stack:
        lab = Witnessed(stack, "--runs", tmp_path)
        lab.look(LIMIT_S, endpoints_wanted=wanted)
        said = lab.end(number)
        assert (said.code, said.out) == (code, "")
        assert "Traceback" not in said.err
        assert said.err.strip().count("\n") == 0
        lab.has_left_nothing()


@pytest.mark.parametrize("role", Role)
def test_an_endpoint_that_is_killed_in_mid_run_is_one_line_and_exit_4(role: Role, tmp_path: Path) -> None:
    with ExitStack() as stack:
        lab = Witnessed(stack, "--runs", tmp_path)
        lab.look(LIMIT_S, endpoints_wanted=4)
        hosts = [pid for pid, line in below(lab.process.pid) if f"lab.endpoint {role} " in line]
        os.kill(hosts[-1], signal.SIGKILL)
        said = ending(lab.process)
        assert (said.code, said.out) == (4, "")
        assert said.err.count("\n") == 1
        # If the server is killed between listen() and connect(), its client may report that first.
        assert re.match(rf"lab: (the {role}'s program |waited for the client to connect, but )", said.err)
        lab.has_left_nothing()


def test_a_pair_that_is_held_stands_until_ctrl_c(tmp_path: Path) -> None:
    with ExitStack() as stack:
        lab = Witnessed(stack, "--hold", "--until", "proof", "--runs", tmp_path)
        assert lab.process.stderr is not None
        assert "The pair stands: nsenter -n -t " in lab.process.stderr.readline()
        assert len(below(lab.process.pid)) == 4
        said = lab.end(signal.SIGINT)
        assert said.code == 0
        assert said.json["outcome"] == "deadlock"
        lab.has_left_nothing()


def test_each_site_of_warm_hosts_is_new_and_only_the_hosts_stay() -> None:
    """So a run can see nothing of the run before: what a namespace remembers is gone with it."""
    spec = specified("upper", payload="4KiB", tcp_rmem=("4096 8192 8192",))
    seen: set[int] = set()
    hosts = set()
    with netns.warm() as sites, ExitStack() as kept:
        for _ in range(2):
            with sites(spec) as site:
                for namespace in site.namespaces:
                    assert namespace.fd is not None
                    kept.callback(os.close, os.dup(namespace.fd))  # kept, or the next one may get its inode number
                    seen.add(os.fstat(namespace.fd).st_ino)
                    assert sysctl.read(namespace, ["tcp_rmem"]) != {"tcp_rmem": "4096 8192 8192"}
                *_, evidence = play(spec, site)
                assert judge(evidence).outcome is Outcome.COMPLETED
                assert all(
                    settings and settings.sysctls["tcp_rmem"] == "4096 8192 8192" for settings in evidence.settings
                )
                hosts |= {program.host_pid for program in site.programs}
    assert len(seen) == 4, "two namespaces a site, and none of them twice"
    assert len(hosts) == 2
    assert not [pid for pid in hosts if parent_of(pid) is not None]


def test_the_warm_hosts_are_in_none_of_the_namespaces_that_they_play_in() -> None:
    with netns.warm() as sites, sites(specified("upper")) as site:
        for role in Role:
            fd = site.namespaces[role].fd
            assert fd is not None
            assert Path(f"/proc/{site.programs[role].host_pid}/ns/net").stat().st_ino != os.fstat(fd).st_ino


def test_without_the_privilege_to_make_a_link_it_is_one_line_and_exit_4(tmp_path: Path) -> None:
    less = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
    done = subprocess.run(
        [*less, sys.executable, "-m", "lab", "run", "--testbed", "netns", "--runs", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1), done.stderr
    assert "CAP_NET_ADMIN" in done.stderr
    assert list(tmp_path.glob("2*")) == []
