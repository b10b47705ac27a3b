"""The child process of `extraction.sandbox`: pages come on stdin, extractions go to stdout, until stdin ends.

Frames: a request is two big-endian 32-bit lengths, then a JSON header (`url`, `declared_charset`, `content_type`) and the page's
bytes; a reply is one length and a JSON object. The first frame out says that the engine is loaded. After a reply with
`reason` `out_of_memory` the process ends: its heap may be in any state.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import struct
import sys
import time
from typing import IO, Any

from extraction.work import Job, Outcome, extract_bytes

COLLECT_EVERY = 200
"""Pages between garbage collections."""


def main() -> None:
    options: dict[str, Any] = json.loads(sys.argv[1])
    pages, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the frames
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    limit = options["memory_mb"] << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The deadline: the kernel ends the process when the page has used up its CPU seconds. A Python handler could not:
    # it does not run while one C call lasts, and libraries catch the exception it would raise.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; this process ends with its stdin
    job = Job.from_fields(options["job"])
    job.load()
    gc.collect()
    gc.freeze()
    gc.disable()
    _reply(replies, Outcome())
    count = 0
    while True:
        try:
            request = _request(pages)
            if request is None:
                return
            header, html = request
            signal.setitimer(signal.ITIMER_PROF, options["deadline_seconds"])
            outcome = extract_bytes(html, header["declared_charset"], header["url"], job, header["content_type"])
        except MemoryError:
            outcome = Outcome(reason="out_of_memory", value=options["memory_mb"])
        signal.setitimer(signal.ITIMER_PROF, 0)
        _reply(replies, outcome)
        if outcome.reason == "out_of_memory":
            return
        del request, html, outcome
        count += 1
        if count % COLLECT_EVERY == 0:
            gc.collect()


def _request(pages: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    lengths = pages.read(8)
    if len(lengths) < 8:
        return None
    n_header, n_html = struct.unpack(">II", lengths)
    header, html = pages.read(n_header), pages.read(n_html)
    return (json.loads(header), html) if len(html) == n_html else None


def _reply(replies: IO[bytes], outcome: Outcome) -> None:
    payload = outcome.to_json()
    replies.write(struct.pack(">Id", len(payload), time.process_time()) + payload)
    replies.flush()


if __name__ == "__main__":
    main()
