"""The fault campaign: real runs of the lab, with faults injected at random instants. They must leave nothing behind.

    mark.py         tells the campaign's own processes from all others
    fingerprint.py  the host as a lab finds it, and must leave it
    ground.py       where a run is played: netns, compose, rootless
    trial.py        one run, one fault: injected, ended, restored, judged, compared
    faults/         one family of faults a file, one function a fault
    flat.py         many runs in a row: does anything grow?
    table.py        the results, by fault and testbed

`scripts/dev/campaign` runs it; the tests beside it are its short form.
"""
