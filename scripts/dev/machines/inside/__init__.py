"""What is played in a place: one module a job, each with `play() -> Iterator[Row]`. Played by process 1's child.

Only the lab's commands and the corpus' are called, as a person would: nothing here depends on the lab's rooms.
"""
