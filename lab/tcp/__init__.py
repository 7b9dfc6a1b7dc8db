"""A TCP connection seen from outside: sequence numbers, segments, marks. Pure, and ignorant of who captured it."""
