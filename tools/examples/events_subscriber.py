#!/usr/bin/python3
"""Prints topic and seq of every event. usage: events_subscriber.py [RUNTIME_DIR]"""
import struct, sys, zmq  # Debian: python3-zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect(f"ipc://{sys.argv[1] if len(sys.argv) > 1 else '/run/noded'}/events.sock")
socket.subscribe("event/")
while True:
    topic, words = socket.recv_multipart()  # words: a message of Event in schemas/node.capnp,
    print(topic.decode(), struct.unpack_from("<Q", words, 16)[0], flush=True)  # seq comes first
