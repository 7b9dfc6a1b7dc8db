"""The audit finds what is not locked and what is known to be vulnerable, and does without the service where it must."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
METRICS = "lab/watching/requirements-metrics.txt"
Answer = Callable[[list[dict[str, Any]]], object]


@contextmanager
def service(answer: Answer) -> Iterator[str]:
    """The address of one that answers the questions of a request so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answer(asked["queries"])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def audit(folder: Path, address: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, folder / "scripts/dev/audit"],
        env=os.environ | {"OSV_URL": address, "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def known(name: str) -> Answer:
    return lambda asked: {
        "results": [{"vulns": [{"id": "GHSA-1"}]} if each["package"]["name"] == name else {} for each in asked]
    }


def test_a_known_vulnerability_is_named_and_fails() -> None:
    with service(known("click")) as address:
        code, said = audit(ROOT, address)
    assert code == 1
    assert said.startswith("audit: click ")
    assert said.endswith(": GHSA-1 (https://osv.dev/GHSA-1)\n")


def test_each_version_is_asked_for_where_one_depends_on_the_interpreter() -> None:
    asked: list[str] = []

    def noted(questions: list[dict[str, Any]]) -> object:
        asked.extend(each["version"] for each in questions if each["package"]["name"] == "numpy")
        return known("nothing")(questions)

    with service(noted) as address:
        audit(ROOT, address)
    pins = {line.split()[0] for line in (ROOT / "requirements.txt").read_text().splitlines() if "numpy==" in line}
    assert {f"numpy=={version}" for version in asked} == pins


def test_where_nothing_is_known_it_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    script = SourceFileLoader("audit", str(ROOT / "scripts/dev/audit"))
    spec = spec_from_loader("audit", script)
    assert spec is not None
    module = module_from_spec(spec)
    script.exec_module(module)
    no_answers: list[Answer] = [lambda _: {"results": []}, lambda _: {}, lambda _: "hello"]
    with service(known("nothing")) as address:
        monkeypatch.setattr(module, "OSV", address)
        assert module._vulnerable({"click": ("8.1.7",), "rich": ("13.9",)}) == []
    for answer in no_answers:
        with service(answer) as address:
            monkeypatch.setattr(module, "OSV", address)
            with pytest.raises((ValueError, LookupError, TypeError)):  # which `main` tells in a line
                module._vulnerable({"click": ("8.1.7",)})


def test_what_is_not_locked_fails_without_a_network(tmp_path: Path) -> None:
    extras = ("lab/sweep/requirements-sweep.txt", "lab/sweep/requirements-cluster.txt", METRICS)
    for name in ("pyproject.toml", "requirements.txt", "tests/requirements.txt", "scripts/dev/audit", *extras):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    project = (tmp_path / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(
        project.replace('"click>=8.1"', '"click>=99"').replace('"rich>=13.9"', '"nosuch>=1"')
    )
    lock = tmp_path / "tests/requirements.txt"
    lock.write_text(lock.read_text().replace("msgspec==", "msgspec==9.") + "\nbare==1.0\n")
    extra = tmp_path / extras[0]
    extra.write_text(extra.read_text().replace("altair==", "altair==9."))
    code, said = audit(tmp_path, "http://127.0.0.1:1")
    assert code == 1
    for line in (
        "requirements.txt: click>=99 is pinned at 8",
        "requirements.txt: nosuch>=1 is pinned at nothing",
        "tests/requirements.txt: bare==1.0 has no hash",
        "audit: msgspec is pinned at 0.",
        "audit: altair is pinned at 6.",
        "vulnerabilities not asked for: http://127.0.0.1:1 does not answer",
    ):
        assert line in said
