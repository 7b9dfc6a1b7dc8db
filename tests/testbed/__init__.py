"""A package, so that a test module may have the same name as one in another folder."""
