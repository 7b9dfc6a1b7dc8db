"""The command line: `python3 -m lab.endpoint ROLE IDENTITY` listens at the barrier first and imports the rest after."""

import os
import signal
import sys

from lab.endpoint import barrier

USAGE = "usage: python3 -m lab.endpoint client|server IDENTITY   (IDENTITY: for example 198.18.20)"


def main(arguments: list[str]) -> int:
    # PID 1 of a container gets no SIGTERM without a handler: the engine would wait for our end in vain.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    match arguments:
        case [("client" | "server") as role, identity] if barrier.is_identity(identity):
            pass
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    try:
        listener = barrier.listen(identity, role)
    except OSError as error:
        print(f"{role} {identity}: cannot listen at the barrier: {error.strerror}", file=sys.stderr)
        return 4
    # A controller may connect from now on; it waits in the backlog for the 15 ms that the imports of `host` take.
    from lab.endpoint.host import Host  # noqa: PLC0415

    return Host(role, listener).attend()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
