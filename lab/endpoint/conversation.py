"""What a behaviour is given to play one conversation: the messages to send, and calls that count and verify bytes."""

import time
from collections.abc import Callable, Iterator

from lab.endpoint.job import Job
from lab.endpoint.payload import PERIOD, CorruptError, Stream
from lab.endpoint.progress import ProgressPage


class Conversation:
    """One side of one connection."""

    def __init__(
        self, role: str, job: Job, page: ProgressPage, give_up: Callable[[OSError], None] | None = None
    ) -> None:
        self.job = job
        self._give_up = give_up
        self.sent_bytes = 0
        self.received_bytes = 0
        self._refused = 0
        self._page = page
        self._requests = Stream(max(job.send_size, job.server_block))
        if role == "server":
            self._incoming, self.incoming_bytes = self._requests, job.payload
        else:
            self._incoming = Stream(job.recv_size, upper=job.answer == "upper")
            self.incoming_bytes = 0 if job.answer == "nothing" else job.payload
        page.begin()

    def outgoing(self) -> Iterator[memoryview]:
        """The client's messages until the payload is sent. Each starts where the last send ended, also a short one."""
        payload, size, pause_s = self.job.payload, self.job.send_size, self.job.paced_s
        view = self._requests.view
        while (sent := self.sent_bytes) < payload:
            start = sent % PERIOD  # Stream.piece, without a call for each: there are 200 000 until upper freezes
            yield view[start : start + (size if sent + size <= payload else payload - sent)]
            if pause_s:
                time.sleep(pause_s)

    def sent(self, count: int) -> None:
        """A send call has returned: the kernel took `count` bytes."""
        self.sent_bytes += count
        self._page.sent(self.sent_bytes)

    def received(self, block: bytes) -> None:
        """A recv call has returned `block`. Raises CorruptError unless it is what the other side must send."""
        offset = self.received_bytes
        self.received_bytes = offset + len(block)
        self._page.received(self.received_bytes)
        if self.received_bytes > self.incoming_bytes:
            raise CorruptError(f"{self.received_bytes} bytes came, but only {self.incoming_bytes} had to")
        if not self._incoming.holds(offset, block):
            raise CorruptError(self._incoming.difference(offset, block))

    @property
    def unanswered_bytes(self) -> int:
        """What the client has sent and got no answer to: the servers answer each byte with one byte."""
        return self.sent_bytes - self.received_bytes

    def answer(self, block: bytes) -> bytes:
        """What the server answers to a block."""
        return block.upper() if self.job.answer == "upper" else block

    def refused(self) -> None:
        """A send call has returned EAGAIN: there was no room for a single byte."""
        self._refused += 1
        self._page.refused(self._refused)

    def give_up(self, error: OSError) -> None:
        """Report that the conversation has failed, while the connection is still open."""
        if self._give_up is None:
            raise error
        self._give_up(error)

    def shortfall(self, role: str) -> str | None:
        """What is missing at the end of the conversation, if anything: the other side closed too early."""
        if role == "client" and self.sent_bytes < self.job.payload:
            return f"EOF: {self.sent_bytes} of {self.job.payload} bytes were sent"
        if self.received_bytes < self.incoming_bytes:
            return f"EOF: {self.received_bytes} of {self.incoming_bytes} bytes came"
        return None
