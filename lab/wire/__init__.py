"""All that packets alone say of a connection. Pure; never more than consistent."""
