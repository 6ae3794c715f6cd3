"""Reads a topic on the broker with nats-py, and prints each message as a line.

read_jetstream.py URL STREAM COUNT
"""

import asyncio
import json
import sys

import nats


async def main(url: str, stream: str, count: int) -> None:
    connection = await nats.connect(url)
    subjects = f"{stream.lower()}.>"
    messages = await connection.jetstream().subscribe(subjects, stream=stream, ordered_consumer=True)
    for _ in range(count):
        message = await messages.next_msg(timeout=30)
        line = {
            "subject": message.subject,
            "sequence": message.metadata.sequence.stream,
            "headers": message.headers,
            "event": json.loads(message.data),
        }
        print(json.dumps(line), flush=True)
    await connection.close()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
