"""Recorded captures with the truth beside them, and what wraps and mutates them."""
