"""What a sweep leaves for people: the tables, the picture of the cliff, and a count of the outcomes."""

from lab.errors import StoreError
from lab.report.swept import OutcomeCount, Swept
from lab.sweep.table import CSV, PARQUET, RowTable

HTML, PNG = "cliff.html", "cliff.png"


def write(table: RowTable) -> Swept:
    """Write all files anew, from the rows of the table. Raises StoreError."""
    files = [table.folder / name for name in (CSV, PARQUET)]
    try:
        table.write()
        if _draw(table):
            files += [table.folder / name for name in (HTML, PNG)]
    except OSError as error:
        raise StoreError(f"{table.folder}: cannot write there ({error.strerror}): make room, then --resume") from None
    counts = table.select(
        "select outcome, grade, count(*) from points where outcome is not null group by all order by 3 desc, 1, 2"
    )
    ((points, failed, wrong, first),) = table.select(
        "select count(*), count(error), count(*) filter (where not as_expected), first(error) filter (where error is "
        "not null) from points"
    )
    return Swept(points, tuple(OutcomeCount(*each) for each in counts), failed, first, wrong, tuple(map(str, files)))


def _draw(table: RowTable) -> bool:
    """Draw the picture, if a row has known buffers and an outcome; whether it was drawn."""
    from lab.report import cliff  # noqa: PLC0415 - altair: a second

    dots = [
        cliff.Dot(*each)
        for each in table.select(
            "select buffers_most, payload, outcome, count(*), count(*) filter (where not as_expected) from points "
            "where buffers_most is not null and payload > 0 and outcome is not null group by all order by all"
        )
    ]
    bounds = [
        cliff.CliffBounds(*each)
        for each in table.select(
            "select buffers_most, min(client_accepted_low), max(client_accepted_high) from points "
            "where buffers_most is not null and client_accepted_low > 0 group by all order by all"
        )
    ]
    if dots:
        cliff.write(dots, bounds, table.folder / HTML, table.folder / PNG)
    return bool(dots)
