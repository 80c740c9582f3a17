"""Reads zip archives from anybody: only plain files under plain names, none larger than it says or than is allowed."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from trimtab.vectors.pack_errors import PackError

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_NAME = re.compile(rb"[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]{1,8}")
_STORED, _DEFLATED = 0, 8
_DESCRIPTOR, _UTF8, _COMPRESSION_HINTS = 0x8, 0x800, 0x6
_LINK = 0o12
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Bounds:
    """What an archive may hold."""

    members: int
    member: int
    """Bytes of one member, unpacked."""
    total: int
    """Bytes of all members, unpacked."""
    ratio: int
    """How many times larger a member may be than its packed form; vectors hardly shrink at all."""


@dataclass(frozen=True)
class Member:
    """One file of the archive, as its directory describes it."""

    name: str
    method: int
    checksum: int
    packed: int
    size: int
    start: int
    """Of the header before its data."""


class Archive:
    """A zip file whose directory has been read and found sound."""

    def __init__(self, file: BinaryIO, shown: str, bounds: Bounds) -> None:
        self._file = file
        self._shown = shown
        self._bounds = bounds
        self.members = {member.name: member for member in self._directory()}

    def read(self, name: str) -> bytes:
        """A member's content, unpacked no further than its directory said, with its checksum checked."""
        member = self.members[name]
        self._file.seek(self._data_start(member))
        content = self._stored(member) if member.method == _STORED else self._inflated(member)
        if zlib.crc32(content) != member.checksum:
            raise self._damaged(f"the checksum of {name} is wrong")
        return content

    def _directory(self) -> list[Member]:
        size = self._file.seek(0, 2)
        if size < _END.size:
            raise self._damaged("it is too short for an archive")
        self._file.seek(size - _END.size)
        mark, disk, first, here, count, length, start, comment = _END.unpack(self._take(_END.size))
        if mark != b"PK\5\6" or comment:
            raise self._damaged("it does not end as an archive does")
        if disk or first or here != count:
            raise self._damaged("it claims to be one of several parts")
        if count > self._bounds.members:
            raise self._damaged(f"it claims {count} members; {self._bounds.members} is the most")
        # A larger archive says so with numbers beyond these bounds, and is refused by them.
        if start + length != size - _END.size or length > count * (_ENTRY.size + 1024):
            raise self._damaged("its directory is not where it says")
        self._file.seek(start)
        directory = self._take(length)
        members, position = [], 0
        for _ in range(count):
            member, position = self._entry(directory, position)
            members.append(member)
        if position != length:
            raise self._damaged("its directory holds more than it counts")
        self._check(members, start)
        return members

    def _entry(self, directory: bytes, position: int) -> tuple[Member, int]:
        if position + _ENTRY.size > len(directory):
            raise self._damaged("its directory is cut short")
        (
            mark, maker, _, flags, method, _, _, checksum, packed, size,
            name_length, extra, comment, disk, _, attributes, start,
        ) = _ENTRY.unpack_from(directory, position)  # fmt: skip
        name_start = position + _ENTRY.size
        raw = directory[name_start : name_start + name_length]
        if mark != b"PK\1\2" or disk:
            raise self._damaged("its directory is not one")
        if not _NAME.fullmatch(raw) or len(raw) > 80:
            raise PackError(
                f"{self._shown} holds a member called {raw[:40].decode('latin-1')!r}, which is not allowed.",
                "An archive of packs holds plain files, named with lower case letters, digits and hyphens.",
            )
        name = raw.decode()
        if flags & ~(_DESCRIPTOR | _UTF8 | _COMPRESSION_HINTS):
            raise self._damaged(f"{name} is encrypted or patched")
        if method not in (_STORED, _DEFLATED):
            raise self._damaged(
                f"{name} is packed by method {method}; only stored and deflated members are read"
            )
        if maker >> 8 == 3 and attributes >> 28 == _LINK:
            raise self._damaged(f"{name} is a link")
        end = name_start + name_length + extra + comment
        if end > len(directory):
            raise self._damaged("its directory is cut short")
        return Member(name, method, checksum, packed, size, start), end

    def _check(self, members: list[Member], end: int) -> None:
        if len({member.name for member in members}) < len(members):
            raise self._damaged("two members have one name")
        for member in members:
            if member.size > self._bounds.member:
                raise self._damaged(
                    f"{member.name} claims {member.size:,} bytes; {self._bounds.member:,} is the most"
                )
            if member.size > self._bounds.ratio * member.packed + 4096:
                raise self._damaged(
                    f"{member.name} would grow from {member.packed:,} to {member.size:,} bytes"
                )
            if member.method == _STORED and member.size != member.packed:
                raise self._damaged(f"{member.name} has two sizes")
        if sum(member.size for member in members) > self._bounds.total:
            raise self._damaged(f"its members claim more than {self._bounds.total:,} bytes")
        position = 0
        for member in sorted(members, key=lambda each: each.start):
            if member.start < position or (position == 0 and member.start):
                raise self._damaged(f"{member.name} lies in what belongs to another")
            position = member.start + _LOCAL.size + len(member.name) + member.packed
        if position > end:
            raise self._damaged("its members run into its directory")

    def _data_start(self, member: Member) -> int:
        self._file.seek(member.start)
        header = self._take(_LOCAL.size)
        mark, _, flags, method, _, _, *told, name_length, extra = _LOCAL.unpack(header)
        name = self._take(name_length)
        known = [member.checksum, member.packed, member.size]
        if mark != b"PK\3\4" or name != member.name.encode() or method != member.method:
            raise self._damaged(f"{member.name} is not where its directory says")
        if told != known and not (flags & _DESCRIPTOR and told == [0, 0, 0]):
            raise self._damaged(f"{member.name} says other sizes than its directory")
        return int(member.start + _LOCAL.size + name_length + extra)

    def _stored(self, member: Member) -> bytes:
        return self._take(member.size)

    def _inflated(self, member: Member) -> bytes:
        """Stops at the first byte too many."""
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        pieces: list[bytes] = []
        room, left = member.size + 1, member.packed
        try:
            while left and room and not unpacker.eof:
                packed = self._take(min(left, _CHUNK))
                left -= len(packed)
                room -= _feed(unpacker, packed, room, pieces.append)
        except zlib.error as error:
            raise self._damaged(f"{member.name} cannot be unpacked") from error
        if not unpacker.eof or left or unpacker.unused_data or room != 1:
            raise self._damaged(f"{member.name} is not as long as it says")
        return b"".join(pieces)

    def _take(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise self._damaged("it is cut short")
        return data

    def _damaged(self, why: str) -> PackError:
        return PackError(f"{self._shown} is damaged or no archive of packs: {why}.", "Get the archive again.")


def _feed(unpacker: zlib._Decompress, packed: bytes, room: int, keep: Callable[[bytes], object]) -> int:
    """Unpacks a piece, up to `room` bytes; how many it gave."""
    given = 0
    while packed and given < room:
        piece = unpacker.decompress(packed, room - given)
        keep(piece)
        given += len(piece)
        packed = unpacker.unconsumed_tail
    return given
