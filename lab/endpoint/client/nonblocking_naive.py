"""Never blocks, never reads, and tries again at once: it is still frozen, and now takes a whole processor.

No thread blocks in a system call, so no list of blocked threads shows it. It is a livelock: it runs, and nothing moves.
"""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Conversation


def converse(connection: socket, conversation: Conversation) -> None:
    connection.setblocking(False)
    for message in conversation.outgoing():
        try:
            conversation.sent(connection.send(message))
        except BlockingIOError:
            conversation.refused()
    connection.setblocking(True)
    connection.shutdown(SHUT_WR)
    while block := connection.recv(conversation.job.recv_size):
        conversation.received(block)
