"""What tshark reads in a capture file."""

import subprocess
from pathlib import Path


def tshark(path: Path, *fields: str) -> list[list[str]]:
    """These fields of every packet."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields"] + [word for field in fields for word in ("-e", field)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [line.split("\t") for line in done.stdout.splitlines()]
