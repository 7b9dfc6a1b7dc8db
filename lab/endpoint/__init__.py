"""The two programs that freeze, and the host that keeps them ready. Standard library only: it runs in bare containers.

* `server/`, `client/`: the behaviours, one short file each. Start reading there: they are the lesson.
* `conversation`: what a behaviour is given: its messages, and calls that count and verify bytes.
* `payload`: the bytes that travel, so that a lost, doubled or swapped one is seen.
* `progress`: the shared page of counters.
* `play`: the child process: opens the socket, plays one behaviour, reports how it ended.
* `barrier`, `job`, `host`: the parent process: waits for a controller before any socket exists, then forks the child.

`python3 -m lab.endpoint server 198.18.20` starts one. Nothing else of `lab` is imported here.
"""
