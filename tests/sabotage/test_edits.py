"""Every premise has an edit that breaks it, and every edit still fits the code. `scripts/dev/sabotage` tries them."""

from pathlib import Path

import pytest

from lab.proof.premises import BY_ID, TABLE, Unseen
from tests.sabotage.edits import EDITS, Edit

ROOT = Path(__file__).parents[2]


def test_every_premise_but_what_is_excluded_has_an_edit() -> None:
    assert {edit.premise for edit in EDITS} == {each.id for each in TABLE if each.unseen is not Unseen.EXCLUDED}


def test_no_two_edits_say_the_same() -> None:
    assert len({edit.says for edit in EDITS}) == len(EDITS)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: f"{edit.premise}: {edit.says}")
def test_every_edit_fits_the_code_in_one_place_and_leaves_python(edit: Edit) -> None:
    assert edit.premise in BY_ID
    text = (ROOT / edit.file).read_text()
    assert text.count(edit.old) == 1
    edited = text.replace(edit.old, edit.new)
    assert edited != text
    compile(edited, edit.file, "exec")
