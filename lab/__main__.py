"""`python -m lab`."""

import gc
import os
import sys

# The imports alone make a hundred thousand objects that stay: to look through them again and again for cycles would be
# a fifth of the time until a run begins.
gc.set_threshold(100_000)

try:
    from lab.cli import main
except KeyboardInterrupt:
    sys.exit(130)

code = main()
# All is undone and written. What Python would still do is free its memory, object by object: 40 ms.
sys.stderr.flush()
os._exit(code)
