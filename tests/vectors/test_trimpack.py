"""Archives of packs: the same bytes each time, and nothing in one is trusted."""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from tests.vectors.fuzz import hammer, inputs
from tests.vectors.packs import TINY, imported_pack, probe_pack
from trimtab.vectors.pack import Pack
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_writing import to_bytes
from trimtab.vectors.trimpack import packs_in, read_trimpack, write_trimpack

PACKS = {"security": probe_pack(), "ornate": imported_pack()}


def read(data: bytes) -> dict[str, Pack]:
    return dict(packs_in(io.BytesIO(data), "x.trimpack"))


def archive(
    members: Mapping[str, bytes],
    method: int = zipfile.ZIP_STORED,
    manifest: object = None,
    prepare: Callable[[zipfile.ZipInfo], None] | None = None,
) -> bytes:
    """As any zip program would write it, with a manifest that is right unless another is given."""
    listed = [
        {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members.items()
    ]
    told = {"trimpack": 1, "members": listed} if manifest is None else manifest
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("manifest.json", told if isinstance(told, bytes) else json.dumps(told))
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            if prepare is not None:
                prepare(info)
            file.writestr(info, content)
    return out.getvalue()


SECURITY = to_bytes(probe_pack())


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "all.trimpack"
    path.write_bytes(write_trimpack(PACKS))
    assert dict(read_trimpack(path)) == PACKS


def test_the_same_packs_give_the_same_bytes_in_any_order() -> None:
    assert write_trimpack(PACKS) == write_trimpack(dict(reversed(PACKS.items())))


def test_any_zip_program_reads_it() -> None:
    with zipfile.ZipFile(io.BytesIO(write_trimpack(PACKS))) as file:
        assert file.testzip() is None
        assert file.namelist() == ["manifest.json", "ornate.gguf", "security.gguf"]
        assert file.read("security.gguf") == SECURITY
        manifest = json.loads(file.read("manifest.json"))
    assert manifest["members"][1] == {
        "name": "security.gguf", "size": len(SECURITY), "sha256": hashlib.sha256(SECURITY).hexdigest(),
    }  # fmt: skip


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_of_other_zip_programs_are_read(method: int) -> None:
    assert read(archive({"security.gguf": SECURITY}, method)) == {"security": probe_pack()}


def test_an_archive_that_was_written_to_a_pipe_is_read() -> None:
    """Its sizes come behind the members."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise OSError("a pipe")

        def tell(self) -> int:
            raise OSError("a pipe")

    listed = {"name": "security.gguf", "size": len(SECURITY), "sha256": hashlib.sha256(SECURITY).hexdigest()}
    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("manifest.json", json.dumps({"trimpack": 1, "members": [listed]}))
        file.writestr("security.gguf", SECURITY)
    assert read(out.getvalue()) == {"security": probe_pack()}


@pytest.mark.parametrize(
    "name",
    [
        "../x.gguf",
        "/etc/x.gguf",
        "a/b.gguf",
        "..\\x.gguf",
        "C:x.gguf",
        "x\u202e.gguf",
        ".gguf",
        "X.gguf",
        "x",
    ],
)
def test_a_path_is_no_name(name: str) -> None:
    with pytest.raises(PackError, match="not allowed"):
        read(archive({name: SECURITY}))


BOMB = 16 << 20


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = archive({"bomb.gguf": b"\0" * BOMB}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1 << 15
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(PackError, match="would grow"):
        read(bomb)
    assert time.process_time() - start < 0.1
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_bomb_that_lies_about_its_size_is_unpacked_no_further_than_it_says() -> None:
    data = bytearray(archive({"bomb.gguf": b"\0" * BOMB}, zipfile.ZIP_DEFLATED))
    at = 0
    while (at := data.find(struct.pack("<L", BOMB), at)) >= 0:
        data[at : at + 4] = struct.pack("<L", 100_000)
    tracemalloc.start()
    with pytest.raises(PackError):
        read(bytes(data))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_links_are_refused() -> None:
    def link(info: zipfile.ZipInfo) -> None:
        info.create_system, info.external_attr = 3, 0o120777 << 16

    with pytest.raises(PackError, match="is a link"):
        read(archive({"security.gguf": b"/etc/passwd"}, prepare=link))


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_two_members_of_one_name_are_refused() -> None:
    out = io.BytesIO(archive({"security.gguf": SECURITY}))
    with zipfile.ZipFile(out, "a") as file:
        file.writestr("security.gguf", b"other")
    with pytest.raises(PackError, match="one name"):
        read(out.getvalue())


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(method: int) -> None:
    with pytest.raises(PackError, match="only stored and deflated"):
        read(archive({"security.gguf": SECURITY}, method))


def test_an_encrypted_member_is_refused() -> None:
    data = bytearray(archive({"security.gguf": SECURITY}))
    entry = data.rindex(b"PK\1\2")
    data[entry + 8] |= 1
    with pytest.raises(PackError, match="encrypted"):
        read(bytes(data))


def test_members_that_share_their_bytes_are_refused() -> None:
    data = bytearray(archive({"a.gguf": SECURITY, "b.gguf": SECURITY}))
    _, first, second = (at for at in range(len(data)) if data[at : at + 4] == b"PK\1\2")
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    with pytest.raises(PackError, match="belongs to another"):
        read(bytes(data))


def changed(**fields: object) -> bytes:
    listed = {"name": "security.gguf", "size": len(SECURITY), "sha256": hashlib.sha256(SECURITY).hexdigest()}
    return archive({"security.gguf": SECURITY}, manifest={"trimpack": 1, "members": [listed | fields]})


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (changed(sha256="0" * 64), "not what the manifest says"),
        (changed(size=7), "not what the manifest says"),
        (changed(name="other.gguf"), "does not hold what its manifest lists"),
        (changed(path="/"), "manifest cannot be read"),
        (archive({"security.gguf": SECURITY}, manifest={"trimpack": 2, "shape": "new"}), "newer Trimtab"),
        (archive({"security.gguf": SECURITY}, manifest={"trimpack": 0, "members": []}), "no version 0"),
        (archive({"security.gguf": SECURITY}, manifest={"trimpack": 1, "members": []}), "does not hold"),
        (archive({"security.gguf": SECURITY}, manifest=b"[" * 90_000), "manifest cannot be read"),
        (archive({"security.gguf": SECURITY}, manifest=b"{" + b" " * 200_000), "manifest is missing"),
        (archive({}), "holds no pack"),
        (archive({"run.sh": b"#!"}), "is no pack"),
        (archive({"security.gguf": SECURITY[:-40]}), "security.gguf in x.trimpack is cut short"),
        (archive({"security.gguf": SECURITY}) + b"more", "does not end as an archive"),
        (b"#!/bin/sh\n" + archive({"security.gguf": SECURITY}), "not where it says"),
        (b"", "too short"),
        (b"PK" * 40, "does not end"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(data: bytes, complaint: str) -> None:
    with pytest.raises(PackError, match=complaint):
        read(data)


def test_a_hundred_thousand_members_are_refused_unread() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for number in range(2000):
            file.writestr(f"{number}.gguf", b"")
    with pytest.raises(PackError, match="2000 members"):
        read(out.getvalue())


SMALL = msgspec.structs.replace(TINY, layers=2, width=4)
BASES = [
    write_trimpack({"a": imported_pack()}),
    archive({"a.gguf": to_bytes(imported_pack())}, zipfile.ZIP_DEFLATED),
]


def test_damaged_archives_are_read_or_refused() -> None:
    outcome = hammer(read, inputs(BASES, seed=2, count=1500), measure_every=10)
    assert outcome.slowest < 1.0
    assert outcome.largest < 2 << 20


@pytest.mark.slow
def test_twenty_thousand_damaged_archives_are_read_or_refused() -> None:
    outcome = hammer(read, inputs(BASES, seed=random.randrange(2**32), count=20_000), measure_every=100)
    assert outcome.slowest < 1.0
    assert outcome.largest < 2 << 20
