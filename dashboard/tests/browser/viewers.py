"""Measures what many viewers of a live page cost: the CPU time of the process that serves it, with them and without them. Ends with 1
when they cost more than they may.

    viewers.py URL PID [--view VIEW] [--count COUNT] [--seconds SECONDS] [--most PERCENT]
"""

import argparse
import asyncio
import os
import sys
from urllib.parse import quote, urlsplit

# Until all are connected and have what a first view gets.
SETTLE_S = 3


def cpu_s(pid):
    """Returns the CPU time of a process so far, in seconds."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def watch(base, view, heard):
    reader, writer = await asyncio.open_connection(base.hostname, base.port)
    writer.write(f"GET /live?view={quote(view)} HTTP/1.1\r\nHost: {base.netloc}\r\n\r\n".encode())
    await writer.drain()
    status = await reader.readline()
    if b" 200 " not in status:
        raise ConnectionError(f"the stream is refused: {status.decode().strip()}")
    while True:
        piece = await reader.read(65536)
        if not piece:
            raise ConnectionError("the stream ended")
        heard[0] += len(piece)


async def measure(args, viewers):
    """Returns the share of a core that the process takes while so many watch, and how many streams ended."""
    heard = [0]
    tasks = [asyncio.create_task(watch(args.base, args.view, heard)) for _ in range(viewers)]
    await asyncio.sleep(SETTLE_S)
    heard[0], before = 0, cpu_s(args.pid)
    await asyncio.sleep(args.seconds)
    share = (cpu_s(args.pid) - before) / args.seconds
    ended = [task for task in tasks if task.done()]
    rate = heard[0] / args.seconds / 1024
    print(f"{args.view}, {viewers} viewers: {100 * share:.1f} % of a core, {rate:.0f} KiB/s, {len(ended)} cut off", flush=True)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for error in results:
        if isinstance(error, ConnectionError):
            print(error)
            break
    return share, len(ended)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base", type=urlsplit)
    parser.add_argument("pid", type=int)
    parser.add_argument("--view", default="overview", help="which page's stream, as /live names it")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--most", type=float, default=10.0, help="percent of a core that all of them may cost")
    args = parser.parse_args()
    await measure(args, 1)
    share, ended = await measure(args, args.count)
    if ended:
        sys.exit(f"{ended} of {args.count} streams ended")
    if 100 * share > args.most:
        sys.exit(f"{args.count} viewers of {args.view} cost {100 * share:.1f} % of a core, more than {args.most:.0f} %")


asyncio.run(main())
