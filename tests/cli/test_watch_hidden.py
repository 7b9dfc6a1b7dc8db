"""`lab watch` by an ordinary user: what may not be read of others counts as alive, and never as ended or as absent.

A process of another user has a copy of the connection, and reads it when it is told to. The user's two programs are
frozen until then, and nothing that he may read tells him of the copy: the proof names what he could not read.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from lab.kernel.place import sysctl
from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.sock_diag import SocketDiag
from tests import unprivileged
from tests.commanded import Said
from tests.waiting import at_rest, until
from tests.watching.watched import loopback, started

pytestmark = pytest.mark.root

PROGRAMS = f"""
import os, socket, sys
def theirs():
    os.setgroups([]); os.setgid({unprivileged.UID}); os.setuid({unprivileged.UID})
    os.execv("/bin/sh", ["sh", "-c", 'exec "$@"', "sh", sys.executable, "-c", PROGRAM, sys.argv[1]])
PROGRAM = '''
import socket, sys
end = socket.socket(fileno=int(sys.argv[1]))
while True:
    end.sendall(bytes(4096))
'''
sys.executable = "{unprivileged.PYTHON}"
with socket.create_server(("127.0.0.1", 0)) as listener:
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
children, (end, until_the_end) = [], os.pipe()
strangers = len(sys.argv) > 1
for mine, other in ((client, server), (server, client)):
    children.append(os.fork())
    if not children[-1]:
        other.close()
        os.close(until_the_end)
        if strangers and not os.fork():
            mine.close()
            os.read(end, 1)
            os._exit(0)
        os.set_inheritable(mine.fileno(), True)
        sys.argv[1:] = [str(mine.fileno())]
        theirs()
client.close()
print(*children, flush=True)
sys.stdin.readline()
size = 0
while size < 1 << 20:
    size += len(server.recv(1 << 16))
print(size, flush=True)
sys.stdin.readline()
for each in children:
    os.kill(each, 9)
"""
"""The copy is that of the server's end: whoever has it reads a MiB on the first line, and ends all on the second."""

WORDS = ("watch", "--once", "--format", "json")


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with loopback() as found:
        sysctl.write(found, {"tcp_rmem": "4096 8192 8192", "tcp_wmem": "4096 8192 8192"})
        yield found


def queues(diag: SocketDiag) -> list[tuple[int, int]]:
    """Recv-Q and Send-Q of every socket."""
    return [(sample.rqueue, sample.wqueue) for sample in diag.samples()]


def asked(namespace: Namespace, options: str | None, *strangers: str) -> tuple[Said, int]:
    """What the lab says to the user, with /proc mounted so, while the pair is frozen; and what is read afterwards.

    With `strangers` each of the two programs has a child of another user.
    """
    program = started(namespace, sys.executable, "-c", PROGRAMS, *strangers)
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        children = list(map(int, program.stdout.readline().split()))
        until(lambda: all(os.readlink(f"/proc/{each}/exe").startswith("/usr/bin/python") for each in children))
        with closing(SocketDiag(namespace)) as diag:
            at_rest(lambda: queues(diag), 0.5, ready=lambda found: sum(wqueue > 0 for _, wqueue in found) == 2)
        mount = f"mount -t proc -o {options} proc /proc && " if options else ""
        before = ("nsenter", f"--net=/proc/{program.pid}/ns/net", "unshare", "--mount", "sh", "-c")
        with unprivileged.clone() as clone:
            said = unprivileged.lab(clone, *WORDS, before=(*before, f'{mount}exec "$@"', "sh"))
        program.stdin.write("\n")
        program.stdin.flush()
        return said, int(program.stdout.readline())
    finally:
        program.communicate("\n", timeout=60)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (None, "unreadable fd tables"),
        ("hidepid=1", "unreadable fd tables"),
        ("hidepid=2", "processes that /proc does not list"),
        ("hidepid=4", "processes that /proc does not list"),
        ("hidepid=2,subset=pid", None),
    ],
    ids=["others' descriptors", "ProtectProc=noaccess", "ProtectProc=invisible", "ptraceable", "ProcSubset=pid"],
)
def test_a_holder_of_another_user_is_named_as_what_could_not_be_read(
    namespace: Namespace, options: str | None, named: str | None
) -> None:
    said, read = asked(namespace, options)
    assert read >= 1 << 20, "the pair moves by what nobody could see"
    assert said.code in (0, 1, 3), said.err
    (pair,) = said.json["connections"]
    assert pair["outcome"] == "deadlock"
    if named is None:
        assert pair["grade"] == "consistent", "the sizes of buffers are hidden too"
        return
    assert pair["grade"] == "qualified", pair
    assert named in " ".join(pair["qualifiers"])


@pytest.mark.parametrize("options", ["hidepid=1", "hidepid=2", "hidepid=2,subset=pid"])
def test_a_child_of_another_user_is_no_defect(namespace: Namespace, options: str) -> None:
    said, _ = asked(namespace, options, "strangers")
    assert said.code == 1, said.err
    (pair,) = said.json["connections"]
    assert pair["grade"] in ("qualified", "consistent")
