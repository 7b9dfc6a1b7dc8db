"""A verdict as the JSON contract has it: its keys in their order, every reason a sentence."""

from collections.abc import Iterable
from dataclasses import fields

from lab.report.reasons import WANTS, all_words, words
from lab.verdict import Diagnosis, Edge, Verdict


def as_contract(verdict: Verdict) -> dict[str, object]:
    """Keys and values; those that are dataclasses of plain values are left to the encoder."""
    known = {field.name: getattr(verdict, field.name) for field in fields(verdict) if field.name != "arguments"}
    foretold = verdict.forecast
    return known | {
        "cycle": edges(verdict.cycle),
        "tail": edges(verdict.tail),
        "live": [{"thread": each.thread, "waits_for": words(each.waits_for)} for each in verdict.live],
        "qualifiers": all_words(verdict.qualifiers),
        "missing": all_words(verdict.missing),
        "contradictions": all_words(verdict.contradictions),
        "diagnosis": verdict.diagnosis and _diagnosis(verdict.diagnosis),
        "forecast": {"client_accepted": foretold.client_accepted, "server_processed": foretold.server_processed},
    }


def _diagnosis(diagnosis: Diagnosis) -> dict[str, object]:
    return {
        "summary": words(diagnosis.summary),
        "waits": all_words(diagnosis.waits),
        "next": all_words(diagnosis.next),
    }


def edges(found: Iterable[Edge]) -> list[dict[str, object]]:
    return [
        {
            "waiter": each.waiter,
            "waits_for": WANTS[each.waits_for],
            "holder": each.holder,
            "witnesses": each.witnesses,
        }
        for each in found
    ]
