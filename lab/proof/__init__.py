"""From evidence to verdict. Pure: the same evidence gives the same verdict, any time and anywhere.

premises          all that a proof stands on, as a table
judge             the verdict on one connection
connection_view   the evidence of one connection, seen at once: the last snapshot, how long it is still
deadlock          the live, the stuck, and the knots among the stuck
threads           which threads were blocked while the sockets were read, and in what
enablers          who could end each wait
stack/            whether the two TCP stacks alone could end a wait on a socket
cycles            which of the stuck wait for each other in a cycle
standstill        the outcome where nothing is proven and nothing moves
diagnosis         what a standstill that is no deadlock comes from
one_end           the same where the other end is on another host
livelock          sends that are refused again and again
account           where every byte lies
"""
