"""The server keeps reading whatever its client does, as a server of unknown clients must. It costs disk space."""

from lab.remedy import Effect, Remedy, cured

REMEDY = Remedy(
    name="server-spools",
    summary="the server keeps its answers, 1 MiB in memory and the rest on disk, and reads on",
    changes="server: an event loop, memory, and disk without a bound",
    expected=Effect.CURES,
    apply=lambda scenario: cured(scenario, server="spools"),
)
