"""Answers each request with its own bytes. Prints the port that it got."""

import zmq

socket = zmq.Context().socket(zmq.REP)
print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
while True:
    socket.send(socket.recv())
