"""From evidence to verdict. Pure: the same evidence gives the same verdict, any time and anywhere."""
