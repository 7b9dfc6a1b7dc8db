"""The sockets of a network namespace.

    netlink        what all questions over netlink(7) have in common
    sock_diag      one TCP socket exactly, or all sockets of a kind (inet_diag, unix_diag)
    conntrack      what NAT makes of the packets of a connection
    counters       whether a connection was opened or a packet moved, by the counters of /proc/net/snmp
    peers          which two sockets are the ends of one connection
    socket_index   all sockets of some namespaces, by inode
    earlier        the earlier samples of a socket that may still matter
    stall_poller   which connections stand still with data to send at both ends, many times a second
    send_room      how much room this kernel reserves for a segment
    window_share   whether this kernel computes windows by tcp_adv_win_scale

All questions to another namespace go through a socket or a file that stays in it (`place.netns`).
"""
