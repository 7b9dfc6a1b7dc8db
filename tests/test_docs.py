"""README.md and docs/ are true: what they show is what the lab prints, and the commands that they give work."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from lab import limits, remedy
from lab.cli import COMMANDS, app
from lab.proof.premises import TABLE
from lab.remedy import Effect
from lab.spec import Grade, Outcome
from lab.verdict import Verdict
from tests.commanded import environment, lab

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text() for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
}
PROOF = PAGES["docs/proof.md"]
LIMIT_S = 250
NET = "198.18.36"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHOWN = re.compile(r"<!-- (?:output|sample|slow): (.+?) -->\n(?:```\w+\n(.*?)```\n|(.*?)<!-- end -->\n)", re.DOTALL)

NOT_RUN = {
    "scripts/test": "it runs this test",
    "scripts/check": "it comes before the tests, and reads the code only",
    "scripts/dev/docs --check": "the test below runs it with --samples",
    "scripts/lab run --hold": "it goes on until Ctrl-C: tests/cli/test_run.py",
    "scripts/lab restore": "it looks for what others have left, such as other tests: tests/cli/test_restore.py",
    "scripts/lab sweep cliff.toml": "720 runs: tests/sweep/test_grid.py reads this grid",
    "scripts/lab sweep cliff.toml --cluster": "it needs a cluster: tests/sweep/test_cluster.py",
    "scripts/setup --venv cluster": "it installs packages from an index",
    ".venv/bin/dask scheduler": "it goes on until Ctrl-C: tests/sweep/test_cluster.py",
    "sudo .venv/bin/dask worker": "it goes on until Ctrl-C: tests/sweep/test_cluster.py",
    "scripts/lab watch --log": "it goes on until Ctrl-C: tests/cli/test_watch.py",
    "docker run --rm --read-only": "tests/cli/test_watch_image.py",
    "docker compose -f compose.cluster.yaml": "four workers for many runs: tests/sweep/test_cluster_compose.py",
}
"""Commands of the pages that these tests do not run, by how they begin, each with the reason."""

WORDS = {
    r"for ever": "forever",
    r"told|tell|tells": "reported, say, show",
    r"wish(?:es|ed)?": "option",
    r"hurt": "fault-injected",
    r"the (?:least|most)\b(?! of)": "the minimum, the maximum",
    r"that of": "name the thing",
    r"who(?:m)?ever|whoever": "name the subject",
    r"glances?|looks\b": "sample, snapshot, poll",
    r"nobody's": "name what is compared",
}
"""What was said before, and what is said now."""


def sessions() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each block of commands once, with the first page that has it."""
    seen = set()
    for page, text in PAGES.items():
        for language, block in FENCE.findall(text):
            commands = tuple(line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))
            if language == "console" and commands not in seen:
                seen.add(commands)
                yield page, commands


def reason(command: str) -> str | None:
    """Why it is not run. The longest beginning that fits decides."""
    fitting = [each for each in NOT_RUN if command == each or command.startswith(f"{each} ")]
    if command.startswith("scripts/lab run ") and "--hold" not in command:
        return None
    return NOT_RUN[max(fitting, key=len)] if fitting else None


def needs_docker(command: str) -> bool:
    return command.startswith(("docker", "scripts/up", "scripts/images"))


SESSIONS = [(page, commands) for page, commands in sessions() if not any(map(reason, commands))]
HERE = [(page, commands) for page, commands in SESSIONS if not any(map(needs_docker, commands))]
ON_DOCKER = [(page, commands) for page, commands in SESSIONS if any(map(needs_docker, commands))]


def played(commands: tuple[str, ...], where: Path = ROOT, **more: str) -> list[str]:
    """Each in turn, whatever the one before came to. Returns what failed: a verdict's exit code is no failure."""
    failed = []
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=where,
            env=environment(**more),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        if done.returncode not in (0, 1, 3) or "Traceback" in done.stderr:
            failed.append(f"{command}: exit {done.returncode}: {done.stderr[-2000:]}")
    return failed


def named(session: tuple[str, tuple[str, ...]]) -> str:
    return f"{session[0]}: {session[1][0]}"


# ---- What is shown --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_the_lab_prints(page: str) -> None:
    words = [sys.executable, "scripts/dev/docs", "--check", "--samples", page]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "up to date\n", "")


STALE = [
    ("<!-- output: echo one -->\n```text\ntwo\n```\n", ["--check"]),
    ("<!-- sample: echo one 1 -->\n```text\ntwo 1\n```\n", ["--check", "--samples"]),
    ("<!-- slow: echo one 1 -->\n```text\ntwo 1\n```\n", ["--check", "--slow"]),
    ("<!-- table: cures -->\n| nothing |\n<!-- end -->\n", ["--check"]),
]


@pytest.mark.parametrize(("text", "words"), STALE)
def test_what_is_not_up_to_date_is_found_and_renewed(text: str, words: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    check = [sys.executable, "scripts/dev/docs", *words, str(page)]
    before = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (before.returncode, before.stdout.count("page.md renews it\n")) == (1, 1)
    assert page.read_text() == text
    subprocess.run([sys.executable, "scripts/dev/docs", "--slow", str(page)], cwd=ROOT, timeout=60, check=True)
    after = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (after.returncode, after.stdout) == (0, "up to date\n")


def test_every_block_that_shows_an_output_says_of_which_command() -> None:
    """The others are drawings, and are few."""
    drawings = {"docs/architecture.md": 3, "docs/proof.md": 1, "docs/verdict.md": 1, "docs/where-it-runs.md": 1}
    for page, text in PAGES.items():
        commands = text.count("## lab ") if page == "docs/cli.md" else 0
        blocks = sum(language in ("text", "json") for language, _ in FENCE.findall(text))
        marked = sum(block != "" for _, block, _ in SHOWN.findall(text))
        assert blocks - marked == drawings.get(page, 0) + commands, page


def test_the_slow_tables_have_every_remedy_with_its_class() -> None:
    """They are renewed by `scripts/dev/docs --slow`; that the classes are true is tested by playing them."""
    shown = [block for command, block, _ in SHOWN.findall(PAGES["docs/remedies.md"]) if "lab remedies" in command]
    assert len(shown) == 2
    for block in shown:
        rows = dict(re.findall(r"^([a-z-]+) +(cures|moves|aborts|hides) ", block, re.MULTILINE))
        assert rows == {name: each.expected for name, each in remedy.catalogue().items()}


def test_the_published_claims_are_those_that_are_measured() -> None:
    rows = [line.split(" | ") for line in PAGES["docs/published-claims.md"].splitlines() if line.startswith("| ")]
    claims = {row[0].removeprefix("| ") for row in rows}
    measured = list(limits.measured())
    assert measured
    assert {each.claim for each in measured} <= claims
    answers = {row[-1].removesuffix(" |") for row in rows if len(row) == 3}
    assert answers <= {"true", "yes", "**no**", "other numbers", "---"}


# ---- What is to be typed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("session", HERE, ids=map(named, HERE))
def test_the_commands_of_a_page_work(session: tuple[str, tuple[str, ...]], tmp_path: Path) -> None:
    """As in a clone, but with runs of its own: others may play here, too."""
    for each in ROOT.iterdir():
        if each.name != "runs":
            (tmp_path / each.name).symlink_to(each)
    assert played(session[1], tmp_path, LAB_RUNS=str(tmp_path / "runs")) == []


@pytest.mark.docker
@pytest.mark.root
@pytest.mark.xdist_group("docker")
@pytest.mark.parametrize("session", ON_DOCKER, ids=map(named, ON_DOCKER))
def test_the_commands_of_a_page_work_on_docker(session: tuple[str, tuple[str, ...]]) -> None:
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)
    assert played(session[1], LAB_NET=NET, COMPOSE_PROJECT_NAME="zero-window-lab-test-docs") == []


def test_a_command_that_is_not_run_is_on_a_page() -> None:
    commands = [command for _, block in sessions() for command in block]
    assert [each for each in NOT_RUN if not any(command.startswith(each) for command in commands)] == []


@cache
def options(name: str) -> frozenset[str]:
    context = app.make_context("lab", ["--help"], resilient_parsing=True)
    command = app.get_command(context, name)
    assert command is not None, f"there is no `lab {name}`"
    return frozenset(flag for each in command.params for flag in each.opts) | {"--help"}


@pytest.mark.parametrize("page", PAGES)
def test_every_option_on_a_page_is_one_of_its_command(page: str) -> None:
    prose = FENCE.sub(lambda block: block[2] if block[1] == "console" else "", PAGES[page])
    for name, further in re.findall(r"(?<![\w/.])(?:scripts/)?lab ([a-z]+)\b([^`\n]*)", prose):
        if name in COMMANDS:
            assert set(re.findall(r"--[a-z][a-z-]+", further)) <= options(name), f"lab {name}{further}"


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_on_a_page_is_one_of_the_lab(page: str) -> None:
    known = {name for path in ROOT.glob("compose*.yaml") for name in re.findall(r"LAB_[A-Z_]+", path.read_text())}
    known |= set(re.findall(r"LAB_[A-Z_]+", PAGES["docs/cli.md"])) | {"LAB_PLACES"}
    assert set(re.findall(r"LAB_[A-Z_]+", PAGES[page])) <= known


# ---- What a page is made of -----------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        while (name := anchor + (f"-{number}" if number else "")) in found:
            number += 1
        found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", FENCE.sub("", PAGES[page])):
        path, _, anchor = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.is_file(), target
        assert not anchor or anchor in anchors(there.read_text()), target


def test_an_anchor_is_found_and_a_wrong_one_is_not() -> None:
    assert anchors("# What's *new*\n## A b\n## A b\n") == {"whats-new", "a-b", "a-b-1"}


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\((docs/[a-z-]+\.md)", PAGES["README.md"]))
    assert linked == set(PAGES) - {"README.md"}


def prose(page: str) -> str:
    """What a person wrote on it: without blocks, and without what scripts/dev/docs writes."""
    text = PAGES[page].partition("<!-- Below this line")[0]
    text = re.sub(r"<!-- (?:output|sample|slow|table|places): .*?<!-- (?:places: )?end -->", "", text, flags=re.DOTALL)
    return FENCE.sub("", re.sub(r"<!-- .*? -->", "", text))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_uses_the_fields_own_words(page: str) -> None:
    found = {old: new for old, new in WORDS.items() if re.search(rf"\b(?:{old})\b", prose(page), re.IGNORECASE)}
    assert found == {}, "left: what is written; right: what to write"


@pytest.mark.parametrize("page", PAGES)
def test_the_prose_of_a_page_fits(page: str) -> None:
    assert [line for line in prose(page).splitlines() if len(line) > 120 and not line.startswith("|")] == []


# ---- What single pages must have ------------------------------------------------------------------------------------


def test_the_page_of_the_proof_has_every_premise() -> None:
    for premise in TABLE:
        assert f"\n### {premise.id}\n\n{premise.says}\n" in PROOF


def test_the_reasons_come_before_the_premises_and_fit_on_one_page() -> None:
    assert PROOF.startswith("# Why a deadlock is a proof\n")
    assert PROOF.index("# The premises") < PROOF.index(f"### {TABLE[0].id}")
    assert PROOF[: PROOF.index("# The premises")].count("\n") < 80


@pytest.mark.parametrize("page", ["README.md", "docs/verdict.md"])
def test_every_outcome_and_grade_is_explained(page: str) -> None:
    for each in (*Outcome, *Grade):
        assert f"`{each}`" in PAGES[page]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help_on_the_page_of_commands(command: str) -> None:
    assert f"\n## lab {command}\n\n```text\nUsage: lab {command} " in PAGES["docs/cli.md"]


def test_every_key_of_a_verdict_is_explained() -> None:
    for key in fields(Verdict):
        assert f"`{key.name}`" in PAGES["docs/json.md"] or key.name == "arguments"


@pytest.mark.parametrize(
    "command", ["list", "limits", "forecast", "doctor", "run --payload 32", "judge tests/captures/one-sided.pcap.gz"]
)
def test_every_key_of_a_document_is_explained(command: str, tmp_path: Path) -> None:
    said = lab(*command.split(), "--format", "json", LAB_RUNS=str(tmp_path))
    assert said.code == 0
    keys = set(said.json)
    for listed in said.json.values():
        if isinstance(listed, list) and listed and isinstance(listed[0], dict) and "outcome" not in listed[0]:
            keys |= set(listed[0])
    assert {key for key in keys if f"`{key}`" not in PAGES["docs/json.md"]} == set()


def test_every_class_of_remedy_is_explained() -> None:
    for effect in Effect:
        assert f"\n* **{effect}**: " in PAGES["docs/remedies.md"]
