#!/usr/bin/env python3
"""Prints the events of a noded's log: seq, time in nanoseconds, type, cause, command id and payload
in hexadecimal, and where a command begins its type, uid, gid, pid and client; the archives first.
Written from agent/log/FORMAT.md alone, with nothing but Python's standard library and the program
zstd, to show that the page is enough. For whoever writes a reader in another language.

usage: read_log.py DIRECTORY
"""
import os
import re
import struct
import subprocess
import sys

BLOCK = 4096
SECTOR = 512
TABLE = []
for value in range(256):
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)   # 0x1EDC6F41 reflected
    TABLE.append(value)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def expect(condition, name, position, what):
    if not condition:
        sys.exit(f"{name} at byte {position}: {what}")


def unmask(batch, mask):
    if mask == 0:
        return batch
    words = struct.unpack_from(f"<{(len(batch) - SECTOR) // 8}Q", batch, SECTOR)
    return batch[:SECTOR] + struct.pack(f"<{len(words)}Q", *(word ^ mask for word in words))


def records(batch, first_seq, count, name, position):
    at = 64
    for seq in range(first_seq, first_seq + count):
        fields = struct.unpack_from("<QqQQ32sII", batch, at)
        begin = at + 72
        sender = None
        if fields[5] & 1:
            *sender, size = struct.unpack_from("<QIIII", batch, begin)
            sender.append(batch[begin + 24:begin + 24 + size].decode(errors="replace"))
            begin += 24 + (size + 7) // 8 * 8
        end = begin + (fields[5] & ~1)
        crc = crc32c(batch[at:at + 68] + batch[at + 72:end])
        expect(fields[6] == crc, name, position + at, "record CRC")
        expect(fields[0] == seq, name, position + at, "record seq")
        yield fields[:5], sender, batch[begin:end]
        at = end


def judge_archive(path):
    """What zstd does not look at: our header, the table of frames, what stands behind them."""
    name = os.path.basename(path)
    with open(path, "rb") as file:
        data = file.read()
    skip, skipped, magic, version, count = struct.unpack_from("<II8sII", data)
    _, number, first, last = struct.unpack_from("<QQQQ", data, 24)
    size, frame, begin, table_crc = struct.unpack_from("<QIII", data, 80)
    expect(crc32c(data[:124]) == struct.unpack_from("<I", data, 124)[0], name, 0, "header CRC")
    expect((skip, magic, version) == (0x184D2A50, b"nodearch", 1), name, 0, "magic or version")
    expect([number, first, last] == [int(part, 16) for part in name[8:58].split("-")] and
           size == len(data) and skipped == begin - 8, name, 0, "ids or sizes")
    expect(crc32c(data[128:begin]) == table_crc, name, 128, "CRC of the table")
    at = begin
    for entry in range(count):
        _, _, frame, crc, _ = struct.unpack_from("<QIIII", data, 128 + 24 * entry)
        expect(crc32c(data[at:at + frame]) == crc, name, at, "CRC of a frame")
        at += frame
    rest = data[at:]
    expect(struct.unpack_from("<II", rest) == (0x184D2A50, len(rest) - 8) and not any(rest[8:]),
           name, at, "what follows the last frame")


def content(path):
    """The bytes of a segment, or of the one that is in an archive."""
    if path.endswith(".zst"):
        judge_archive(path)
        with open(path, "rb") as file:
            unpacked = subprocess.run(["zstd", "-dcq"], stdin=file, stdout=subprocess.PIPE,
                                      check=False)
        expect(unpacked.returncode == 0, path, 0, "zstd cannot unpack it")
        return unpacked.stdout
    with open(path, "rb") as file:
        return file.read()


def segment(directory, name, state):
    """The records of one segment. `state` holds the log id and the next seq, each None at first."""
    data = content(os.path.join(directory, name))
    name = os.path.basename(name)
    if not any(data):
        return   # prepared
    magic, version, block, log_id, number, first, size = struct.unpack_from("<8sIIQQQQ", data, 0)
    expect(crc32c(data[:60]) == struct.unpack_from("<I", data, 60)[0], name, 0, "header CRC")
    expect(magic == b"nodedlog" and version in (1, 2) and block == BLOCK, name, 0,
           "magic, version or block")
    expect(number == int(name[8:24], 16) and size == len(data), name, 0, "id or size")
    expect(state in ([None, None], [log_id, first]), name, 0, "another log, or a gap")
    at = BLOCK
    seq = first
    while at < len(data) and any(data[at:at + SECTOR]):
        head = data[at:at + 60]
        magic, *ids, size, count, mask, _, body_crc = struct.unpack_from("<8sQQQIIQII", head)
        expect(crc32c(head) == struct.unpack_from("<I", data, at + 60)[0], name, at, "batch CRC")
        expect((magic, ids) == (b"nodbatch", [log_id, number, seq]), name, at, "batch ids")
        batch = data[at:at + size]
        if crc32c(batch[64:]) != body_crc:
            print(f"{name} at byte {at}: a torn or damaged batch ends the log", file=sys.stderr)
            break
        yield from records(unmask(batch, mask), seq, count, name, at)
        seq += count
        at += size
    state[:] = [log_id, seq]


def files(directory):
    """Archives that lead on to the segments, then those; by the ids in their names."""
    segments = {int(name[8:], 16): name for name in os.listdir(directory)
                if re.fullmatch("segment-[0-9a-f]{16}", name)}
    archives = {}
    if os.path.isdir(os.path.join(directory, "archive")):
        archives = {int(name[8:24], 16): os.path.join("archive", name)
                    for name in os.listdir(os.path.join(directory, "archive"))
                    if re.fullmatch("segment(-[0-9a-f]{16}){3}[.]zst", name)}
    first = min(segments, default=0)
    while first - 1 in archives:
        first -= 1
        segments[first] = archives[first]
    return [segments[number] for number in sorted(segments)]


def main(directory):
    state = [None, None]
    for name in files(directory):
        for fields, sender, payload in segment(directory, name, state):
            seq, time_ns, kind, cause, command = fields
            told = [f"0x{sender[0]:016x}", *sender[1:4], repr(sender[4])] if sender else []
            print(seq, time_ns, f"0x{kind:016x}", cause, command.hex(), payload.hex(), *told)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
