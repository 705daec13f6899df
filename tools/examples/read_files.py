#!/usr/bin/env python3
"""Reads what a noded keeps beside the events of its log (those: read_log.py): snapshots, the
records of how containers ended, and what containers wrote. Written from agent/log/FORMAT.md,
plugins/container/shim/PROTOCOL.md and plugins/container/shim/LOG.md alone, to show that the pages
are enough. Everything that a page says is judged.

usage: read_files.py snapshot FILE   its seq, and names and sizes of its sections, as JSON
       read_files.py exit FILE       the record of an end, as JSON
       read_files.py output DIR      what a container wrote, both streams in their order
"""
import json
import os
import re
import struct
import sys

sys.dont_write_bytecode = True   # it lies among sources

from read_log import BLOCK, crc32c

SNAPSHOT_HEADER = struct.Struct("<8sIIQQI24sI")
EXIT_RECORD = struct.Struct("<IIII128siIQQiiIIQ")
LOG_BLOCK = struct.Struct("=4sIQQQQQ")
LOG_FRAME = struct.Struct("=QIBBH")
LOG_BLOCK_BYTES = 64 << 10


def check(holds, what):
    if not holds:
        sys.exit(f"read_files: {what} is not as the page says")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def snapshot(path):
    data = read(path)
    (magic, version, count, seq, size, body_crc, zeros, crc) = SNAPSHOT_HEADER.unpack_from(data)
    check(crc32c(data[:60]) == crc and crc32c(data[BLOCK:]) == body_crc,
          "a checksum of the snapshot")
    check(magic == b"nodesnap" and version == 1 and not any(zeros) and
          size == len(data) and size % BLOCK == 0, "the header of the snapshot")
    check(not any(data[64:BLOCK]), "padding behind the header of the snapshot")
    sections, at = {}, BLOCK
    for _ in range(count):
        name_bytes, zero, data_bytes = struct.unpack_from("<IIQ", data, at)
        at += 16
        name = data[at:at + name_bytes].decode()
        at += (name_bytes + 7) // 8 * 8
        check(zero == 0 and at + data_bytes <= len(data), f"section {name}")
        sections[name] = data[at:at + data_bytes]
        at += (data_bytes + 7) // 8 * 8
    check(not any(data[at:]), "what is behind the last section")
    check(len(sections.get(":core", b"")) % 48 == 0, "the list of command ids")
    return seq, sections


def exit_record(path):
    data = read(path)
    check(len(data) >= 192, "the record is too short")
    (magic, version, state, message_bytes, name, pid, zero, started_ns, position, code, signal,
     oom, zero_too, ended_ns) = EXIT_RECORD.unpack(data[:192])
    check(magic == 0x3152584E and version in (1, 2) and zero == 0 and zero_too == 0,
          "the record's header")
    begin = 200 if version == 2 else 192
    message = data[begin:begin + message_bytes]
    check(len(data) == begin + message_bytes, "the size of the record")
    if version == 2:
        checksum = 0xCBF29CE484222325
        for byte in data[:192] + message:
            checksum = (checksum ^ byte) * 0x100000001B3 % (1 << 64)
        check(struct.unpack_from("<Q", data, 192)[0] == checksum, "the record's checksum")
    return {"id": name.rstrip(b"\0").decode(), "state": state, "pid": pid,
            "startedNs": started_ns, "logPosition": position, "code": code, "signal": signal,
            "oom": oom, "endedNs": ended_ns, "message": message.decode()}


# What a container wrote.

def block_checksum(block):
    value = 0x811C9DC5
    for byte in block[:4] + bytes([block[4] & 0x06, 0, 0, 0]) + block[8:]:
        value = (value ^ byte) * 0x01000193 % (1 << 32)
    return (value >> 24 ^ value) & 0xFFFFFF or 1


def output(directory):
    names = sorted(name for name in os.listdir(directory)
                   if re.fullmatch(r"log\.[0-9a-f]{16}", name))
    written = None
    for name in names:
        begin = int(name[4:], 16)
        check(begin % LOG_BLOCK_BYTES == 0, f"{name}: the position in its name")
        data = read(f"{directory}/{name}")
        for at in range(0, len(data), LOG_BLOCK_BYTES):
            block = data[at:at + LOG_BLOCK_BYTES]
            (magic, flags, position, time_ns, _, before, lost) = LOG_BLOCK.unpack_from(block)
            where = f"{name} at byte {at}"
            check(magic == b"NLB1" and position == begin + at, f"{where}: the block's header")
            check(flags >> 8 in (0, block_checksum(block[:48])), f"{where}: its checksum")
            check(written in (None, before) and lost <= before, f"{where}: bytes before it")
            written = before
            for frame in frames_of(block, where):
                check(frame["time_ns"] >= time_ns, f"{where}: a frame before its block")
                written += frame["bytes"]
                yield frame


def frames_of(block, where):
    at = 48
    while at + 16 < LOG_BLOCK_BYTES and at + 16 <= len(block):
        (time_ns, length, stream, flags, zero) = LOG_FRAME.unpack_from(block, at)
        check(length >= 1 and stream <= 2 and flags <= 1 and zero == 0,
              f"{where}: the frame at {at}")
        data = block[at + 16:at + 16 + length]
        check(len(data) == length, f"{where}: the frame at {at} is cut short")
        partial = bool(flags & 1)
        check(stream == 0 or partial == (data[-1:] != b"\n"),
              f"{where}: the end of the frame at {at}")
        lost = struct.unpack("=Q", data)[0] if stream == 0 else 0
        yield {"time_ns": time_ns, "stream": stream, "partial": partial, "bytes": lost or length,
               "data": b"" if stream == 0 else data}
        at += 16 + length
    check(not any(block[at:]), f"{where}: something behind the last frame")


def main(verb, path):
    if verb == "snapshot":
        seq, sections = snapshot(path)
        sizes = {name: len(data) for name, data in sections.items()}
        print(json.dumps({"seq": seq, "sections": sizes}))
    elif verb == "exit":
        print(json.dumps(exit_record(path)))
    elif verb == "output":
        for frame in output(path):
            sys.stdout.buffer.write(frame["data"])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
