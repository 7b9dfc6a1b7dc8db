"""Every word spoken with Linux: namespaces, links, sysctls, inet_diag, /proc and packet sockets."""
