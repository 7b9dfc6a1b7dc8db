"""The cliff shows every outcome in one colour each, over the band; what is on the wrong side cannot be overlooked."""

import json

from lab.report.cliff import CliffBounds, Dot, drawing

DOTS = [Dot(32768, 1 << 12, "completed", 3, 0), Dot(32768, 1 << 20, "deadlock", 5, 1), Dot(65536, 1, "moving", 1, 0)]
BAND = [CliffBounds(32768, 9000, 165_000), CliffBounds(65536, 18_000, 230_000)]


def test_each_outcome_has_a_colour_of_its_own() -> None:
    *_, dots = drawing(DOTS, BAND).to_dict()["layer"]
    scale = dots["encoding"]["color"]["scale"]
    assert sorted(scale["domain"]) == ["completed", "deadlock", "moving"]
    assert len(set(scale["range"])) == 3


def test_what_is_on_the_wrong_side_is_counted_and_drawn_large() -> None:
    drawn = drawing(DOTS, BAND).to_dict()
    assert drawn["title"]["text"] == "9 points, 1 on the wrong side of the forecast"
    size = drawn["layer"][-1]["encoding"]["size"]
    assert size["condition"]["test"] == "datum.wrong > 0"
    assert size["condition"]["value"] > size["value"]


def test_the_band_is_the_forecasts_and_there_is_none_without_one() -> None:
    drawn = drawing(DOTS, BAND).to_dict()
    assert '{"buffers": 65536, "low": 18000, "high": 230000}' in json.dumps(drawn)
    assert len(drawing(DOTS, []).to_dict()["layer"]) == 1
