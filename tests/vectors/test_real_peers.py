"""Files that the real programs wrote (`tools/peers/vectors.py` makes them) are imported to the last bit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.vectors.packs import TINY
from trimtab.vectors.importers import ImportRequest, import_vectors

FOLDER = os.environ.get("TRIMTAB_PEERS", "")


@pytest.mark.skipif(
    not FOLDER, reason="TRIMTAB_PEERS names no folder of files made by tools/peers/vectors.py"
)
@pytest.mark.parametrize("peer", ["repeng", "dialz"])
def test_a_real_file_is_known_and_its_numbers_are_the_peers_own(peer: str) -> None:
    path = Path(FOLDER) / f"{peer}.gguf"
    if not path.is_file():
        pytest.skip(f"{peer}.gguf is not there")
    told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    theirs = {int(layer): np.array(values, dtype=np.float32) for layer, values in told["directions"].items()}
    width = next(iter(theirs.values())).size
    shape = {"architecture": told["model_type"], "layers": max(theirs) + 1, "width": width}
    pack = import_vectors(ImportRequest(path=path, model=msgspec.structs.replace(TINY, **shape)))
    assert pack.provenance.source_format == peer
    assert pack.good == tuple(sorted(theirs))
    for layer in pack.layers:
        assert layer.added is not None
        np.testing.assert_array_equal(layer.added.values, theirs[layer.number])
