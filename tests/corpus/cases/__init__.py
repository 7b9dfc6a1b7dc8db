"""The families of cases, a file each: its programs, and `CASES`."""
