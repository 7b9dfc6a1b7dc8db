"""Where the project lies: the programs of the corpus are started from there."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
