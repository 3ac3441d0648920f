"""Sends 1 KiB and waits for it to come back, again and again. Arguments: port, seconds.

Prints one line of JSON: the median and the 99th percentile in microseconds, and the rate.
"""

import json
import sys
import time

import zmq

WARM_UP = 0.3
port, seconds = int(sys.argv[1]), float(sys.argv[2])
socket = zmq.Context().socket(zmq.REQ)
socket.connect(f"tcp://127.0.0.1:{port}")
message = b"x" * 1024
times = []
start = time.perf_counter() + WARM_UP
while True:
    began = time.perf_counter()
    if began >= start + seconds:
        break
    socket.send(message)
    socket.recv()
    if began >= start:
        times.append(time.perf_counter() - began)
times.sort()
at = lambda share: times[int((len(times) - 1) * share)] * 1e6
print(json.dumps({"p50_us": at(0.5), "p99_us": at(0.99), "per_second": len(times) / seconds}))
