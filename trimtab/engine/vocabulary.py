"""The identity of a vocabulary: equal for one model in any format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def vocabulary_hash(pieces: Iterable[bytes | str]) -> str:
    """The SHA-256 over the tokens' texts as the vocabulary stores them, in the order of their ids."""
    digest = hashlib.sha256()
    for piece in pieces:
        data = piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece
        digest.update(len(data).to_bytes(4, "little"))
        digest.update(data)
    return digest.hexdigest()
