"""Measures what many viewers of a live page cost: the CPU time of the process that serves it, with them and without them.

    viewers.py URL PID [COUNT [SECONDS]]
"""

import asyncio
import os
import sys
from urllib.parse import urlsplit


def cpu_s(pid):
    """Returns the CPU time of a process so far, in seconds."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def watch(host, port, heard):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET /live?view=overview HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    await writer.drain()
    while True:
        piece = await reader.read(65536)
        if not piece:
            raise ConnectionError("the stream ended")
        heard[0] += len(piece)


async def main():
    base, pid = urlsplit(sys.argv[1]), int(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 60.0
    heard = [0]
    for viewers in (1, count):
        tasks = [asyncio.create_task(watch(base.hostname, base.port, heard)) for _ in range(viewers)]
        await asyncio.sleep(5)
        heard[0], before = 0, cpu_s(pid)
        await asyncio.sleep(seconds)
        share = (cpu_s(pid) - before) / seconds
        ended = [task for task in tasks if task.done()]
        print(f"{viewers} viewers: {100 * share:.1f} % of a core, {heard[0] / seconds / 1024:.0f} KiB/s, {len(ended)} cut off")
        for task in tasks:
            task.cancel()


asyncio.run(main())
