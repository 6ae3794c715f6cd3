"""Follows a live stream with httpx-sse, and prints each event as a line: its id, its type, its data.

follow_sse.py URL KEY COUNT: ends after so many events, however often the stream breaks off.
"""

import json
import sys

import httpx
from httpx_sse import connect_sse

url, key, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
headers = {"Authorization": f"Bearer {key}"}
with httpx.Client(timeout=httpx.Timeout(30)) as client:
    while count > 0:
        with connect_sse(client, "GET", url, headers=headers) as source:
            for message in source.iter_sse():
                headers["Last-Event-ID"] = message.id
                # One without data says where the stream is.
                if not message.data:
                    continue
                line = {"id": message.id, "type": message.event, "event": json.loads(message.data)}
                print(json.dumps(line), flush=True)
                count -= 1
                # Leaves in the middle now and then, as clients do.
                if count == 0 or count % 37 == 0:
                    break
