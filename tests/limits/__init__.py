"""A package, so that a test module may be called like the one of another room."""
