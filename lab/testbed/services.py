"""Services of compose.yaml, started for a run and taken down again, whatever interrupts the run."""

import codecs
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Protocol

from lab.errors import EnvironmentLacksError, TestbedError
from lab.installation import FOLDER, advice, is_clone
from lab.kernel.place.netns import Namespace, program_in, signals_held
from lab.testbed import engine

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

QUESTION_S = 30.0
UP_S = 120.0
BUILD_S = 900.0
FAREWELL_S = 15.0
"""How long an interrupted controller may take to end."""
DOCUMENTED = (0, 1, 2, 3, 4, 5, 130)


class Pipe(Protocol):
    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


def command() -> tuple[str, ...]:
    """`docker compose`, else docker-compose. Raises EnvironmentLacksError when there is neither."""
    for words in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(words[0]) and _run([*words, "version"], os.environ, QUESTION_S)[0] == 0:
            return words
    install = advice("scripts/setup as root installs it", "install Docker's Compose")
    raise EnvironmentLacksError(f"there is neither docker compose nor docker-compose: {install}")


def version(compose: Sequence[str]) -> str:
    return _last_line(_run([*compose, "version", "--short"], os.environ, QUESTION_S)[1])


def base_image() -> str:
    """What the images are built on: BASE_IMAGE of the environment, else of .env, else compose.yaml's own default."""
    dotenv = FOLDER / ".env"
    noted = re.findall(r"^BASE_IMAGE=(.+)$", dotenv.read_text(), re.MULTILINE) if dotenv.exists() else []
    return os.environ.get("BASE_IMAGE") or (noted[-1] if noted else "python:3.13-slim")


def require_clone() -> None:
    """Raises EnvironmentLacksError for a lab that was installed as a package: it has no compose.yaml."""
    if not is_clone():
        raise EnvironmentLacksError("--testbed compose needs the lab's whole folder (compose.yaml, scripts): clone it")


def images_are_current() -> bool:
    """Whether both images exist and are as new as the code, according to `scripts/images`."""
    require_clone()
    return _run([str(FOLDER / "scripts/images"), "--check"], os.environ, QUESTION_S)[0] == 0


@contextmanager
def started(client: "DockerClient", values: Mapping[str, str], *names: str) -> Iterator[None]:
    """Start these services, in a project of their own, with these variables of compose.yaml; remove them at the end."""
    compose = command()
    _make_images()
    net, owner = values["LAB_NET"], values["LAB_OWNER"]
    project = f"zero-window-lab-{net.replace('.', '-')}-{os.urandom(3).hex()}"
    with _taken_down(client, net, owner) as all_are_up:
        up = [*compose, "-p", project, "up", "--detach", "--no-build", *names]
        code, said = _run(up, _environment(values), UP_S)
        if code != 0:
            raise EnvironmentLacksError(_why(said, net))
        all_are_up()
        yield


@contextmanager
def _taken_down(client: "DockerClient", net: str, owner: str) -> Iterator[Callable[[], None]]:
    """Remove all that is ours at the end. Unless told that all were up, look again: requests may be on their way."""
    whole = threading.Event()
    try:
        yield whole.set
    finally:
        with signals_held():
            engine.clear(
                client, lambda: engine.things(client, net=net, owner=owner), 1 if whole.is_set() else engine.LOOKS
            )


def container(client: "DockerClient", owner: str, net: str, service: str) -> "Container":
    """Our container of this service."""
    labels = [f"{engine.NET}={net}", f"{engine.OWNER}={owner}", f"com.docker.compose.service={service}"]
    found = client.containers.list(all=True, filters={"label": labels})
    if not found:
        raise TestbedError(f"the {service}'s container is gone (removed by somebody?)")
    if not found[0].attrs["State"]["Pid"] and service != "controller":
        raise TestbedError(f"the {service}'s container ended at once: {_last_line(found[0].logs(tail=5).decode())}")
    return found[0]


def followed(controller: "Container", out: Pipe, err: Pipe) -> int:
    """The controller's exit code, at its end. Until then its output is passed on, and Ctrl-C is passed to it."""
    follower = threading.Thread(target=_copy, args=(controller, err, "stderr"), name="stderr", daemon=True)
    follower.start()
    try:
        _copy(controller, out, "stdout")
    except KeyboardInterrupt:
        controller.kill("SIGINT")
        with suppress(KeyboardInterrupt):
            controller.wait(timeout=FAREWELL_S)
    code = int(controller.wait(timeout=FAREWELL_S)["StatusCode"])
    follower.join(FAREWELL_S)
    if code not in DOCUMENTED:
        raise TestbedError(f"the controller's container was ended from outside (status {code})")
    return code


def _copy(controller: "Container", pipe: Pipe, stream: str) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for data in controller.logs(stream=True, follow=True, stdout=stream == "stdout", stderr=stream == "stderr"):
        pipe.write(decoder.decode(data))
        pipe.flush()


def _make_images() -> None:
    """Make both images as new as the code. The script says so if that takes time."""
    if images_are_current():
        return
    code, said = _run([str(FOLDER / "scripts/images")], os.environ, BUILD_S, stderr=None)
    if code != 0:
        raise EnvironmentLacksError(f"the images cannot be built ({_last_line(said) or 'see above'}): scripts/setup")


def _environment(values: Mapping[str, str]) -> dict[str, str]:
    """Our environment, with these variables of compose.yaml only. What .env says of them is for `docker compose up`."""
    variables = re.findall(r"\bLAB_\w+", (FOLDER / "compose.yaml").read_text())
    around = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "COMPOSE_"))}
    return around | dict.fromkeys(variables, "") | dict(values)


def _run(
    words: Sequence[str], environment: Mapping[str, str], limit_s: float, stderr: int | None = subprocess.STDOUT
) -> tuple[int, str]:
    """Exit code and output of a program. It dies with the lab, and Ctrl-C at our terminal does not reach it."""
    with tempfile.TemporaryFile() as output, ExitStack() as stack:
        with signals_held():
            process = subprocess.Popen(
                words,
                cwd=FOLDER,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=program_in(Namespace.here()),  # noqa: PLW1509 - only system calls
            )
            stack.callback(_end, process)
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise EnvironmentLacksError(f"`{' '.join(words[:2])}` did not end within {limit_s:g} s") from None
        return code, _text(output)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it has started, unless it has ended by itself."""
    for each in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, each)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)


def _text(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")


def _why(said: str, net: str) -> str:
    last = _last_line(said)
    if re.search(r"overlap|already in use|same bridge name|address already", said, re.IGNORECASE):
        return f"{net}.0/24 is taken on this machine ({last}): set LAB_NET to another, {another(net)}"
    return f"the containers cannot be brought up: {last}"


def another(net: str) -> str:
    """An example of a net, for a person whose net is taken."""
    head, _, last = net.rpartition(".")
    return f"for example {head}.{(int(last) + 1) % 256}"


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
