"""What is played in a place: one module a job, each with `play() -> Iterator[Row]`. Played by process 1's child.

Only the lab's commands are called, as a person would, and programs of its tests: nothing here depends on the lab's
rooms.
"""
