"""Proxies from Debian's packages between an echo and a client that only writes; and the same with a limit of time."""

from tests.corpus.case import LATER_S, Case, Command, Truth, accepting, connecting
from tests.corpus.programs import echo, write_only

LISTENS_TOO = frozenset({"proven-closed-world", "qualified", "proven-until"})

SOCAT = Command(("socat", "TCP-LISTEN:@PORT@,bind=@ADDRESS@,reuseaddr", "TCP:127.0.0.1:@UPSTREAM@"))


def _nginx(limit: str) -> Command:
    return Command(
        ("nginx", "-c", "@WORK@/nginx.conf", "-e", "@WORK@/nginx.log"),
        {
            "nginx.conf": "include /etc/nginx/modules-enabled/*.conf;\ndaemon off;\npid @WORK@/nginx.pid;\n"
            "worker_processes 1;\nevents {}\nstream {\n server {\n  listen @ADDRESS@:@PORT@;\n"
            f"  proxy_pass 127.0.0.1:@UPSTREAM@;\n  proxy_timeout {limit};\n }}\n}}\n"
        },
    )


def _haproxy(limits: str) -> Command:
    return Command(
        ("haproxy", "-db", "-f", "@WORK@/haproxy.cfg"),
        {
            "haproxy.cfg": f"global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n{limits}"
            "listen front\n  bind @ADDRESS@:@PORT@\n  server back 127.0.0.1:@UPSTREAM@\n"
        },
    )


def _dead(name: str, summary: str, middle: Command, *, hard: bool = False) -> Case:
    client = connecting(write_only)
    return Case(name, summary, Truth.DEADLOCK, accepting(echo), client, middle, grades=LISTENS_TOO, hard=hard)


def _later(name: str, summary: str, middle: Command) -> Case:
    return Case(name, summary, Truth.LATER, accepting(echo), connecting(write_only), middle, watch_s=LATER_S)


CASES = (
    Case(
        "socat-proxy",
        "socat from port to port: one thread, select, then blocking writes.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(write_only),
        SOCAT,
    ),
    _dead("nginx-stream", "nginx as a TCP proxy; its next timer is a day away.", _nginx("1d"), hard=True),
    _later("nginx-stream-limit", "nginx gives up after 4 s.", _nginx("4s")),
    _dead("haproxy", "haproxy without time-outs; it wakes up each second all the same.", _haproxy(""), hard=True),
    _later("haproxy-limit", "haproxy gives up after 4 s.", _haproxy("  timeout client 4s\n  timeout server 4s\n")),
)
