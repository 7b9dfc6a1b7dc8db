"""`python -m lab`."""

import gc
import sys

# The imports alone make a hundred thousand objects that stay: to look through them again and again for cycles would be
# a fifth of the time until a run begins.
gc.set_threshold(100_000)

try:
    from lab.cli import main
except KeyboardInterrupt:
    sys.exit(130)

sys.exit(main())
