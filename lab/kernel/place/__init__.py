"""Where something runs: namespaces, links, sysctls, what the whole host shares, and what is put back on it."""
