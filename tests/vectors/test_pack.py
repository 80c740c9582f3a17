"""What a pack may be, and what it refuses to be."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from tests.vectors.packs import TINY, draw, imported_pack, probe_pack, unit
from trimtab.engine.program import Array
from trimtab.vectors.pack import (
    BaseModel,
    Direction,
    Interval,
    Layer,
    Pack,
    PackGate,
    Provenance,
    Setting,
    Site,
    TopTokens,
)
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_fit import check_fit

BIDI = "sa\u202efe\x1b[31m\u2066!"


def test_packs_are_equal_by_content() -> None:
    assert probe_pack() == probe_pack()
    assert probe_pack() != probe_pack(level=2.0)


def test_a_pack_is_frozen() -> None:
    with pytest.raises(AttributeError):
        probe_pack().name = "other"  # type: ignore[misc]


def test_control_and_bidi_characters_never_get_in() -> None:
    pack = probe_pack(
        name=BIDI,
        meaning=BIDI,
        warnings=(BIDI,),
        provenance=Provenance(author=BIDI, licence=BIDI),
        top_tokens=(TopTokens(layer=1, tokens=(BIDI,)),),
    )
    texts = (pack.name, pack.meaning, pack.warnings[0], pack.provenance.author, pack.top_tokens[0].tokens[0])
    assert set(texts) == {"safe[31m!"}


def test_a_probe_in_a_program_is_the_trained_one() -> None:
    fit = probe_pack().by_layer[2].probe
    assert fit is not None
    made = fit.part()
    np.testing.assert_allclose(made.weight.values, unit(8, 2) * 3.5, rtol=1e-6)
    assert made.bias == fit.bias


def test_a_gate_in_a_program_keeps_its_threshold_unless_told_another() -> None:
    gate = probe_pack().gate
    assert gate is not None
    assert gate.part().threshold == 0.4
    assert gate.part(0.9).threshold == 0.9
    assert gate.part().layer == 1 and gate.part().form == "chat"


def test_a_scale_of_one_is_the_mean_shift_at_the_good_layers() -> None:
    shifts = probe_pack().shifts()
    assert sorted(shifts) == [1, 2]
    np.testing.assert_allclose(np.linalg.norm(shifts[2]), 2.5, rtol=1e-6)


def test_an_imported_vector_and_its_offset_are_added_together() -> None:
    shifts = imported_pack().shifts()
    np.testing.assert_array_equal(shifts[2], draw(8, 2) + draw(8, 3))
    np.testing.assert_array_equal(shifts[1], draw(8, 1))


def test_block_0_is_steered_here_and_kept_from_llama_cpp() -> None:
    pack = probe_pack(good=(0, 1))
    assert sorted(pack.shifts()) == [0, 1]
    assert sorted(pack.directions()) == [1]


def test_a_pack_with_nothing_for_llama_cpp_gives_it_a_vector_that_does_nothing() -> None:
    [(number, vector)] = probe_pack(good=(0,)).directions().items()
    assert number == 1
    assert not vector.any()


def wide(number: int = 1) -> Layer:
    return Layer(number=number, added=Array(draw(9, 1)))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"value": "Not An Id"}, "lower case"),
    ({"value": "../../etc/passwd"}, "lower case"),
    ({"value": "a" * 65}, "64 is the most"),
    ({"name": 7}, "no text"),
    ({"method": "magic"}, "probe or imported"),
    ({"form": "chat "}, "plain or chat"),
    ({"layers": ()}, "holds no layer"),
    ({"layers": (wide(),), "method": "imported", "good": ()}, "9 wide; the model is 8 wide"),
    ({"layers": tuple(reversed(probe_pack().layers))}, "not in order"),
    ({"layers": (probe_pack().layers[0],) * 2, "good": (0,)}, "occurs twice"),
    ({"layers": imported_pack().layers}, "does not hold what a pack of probe"),
    ({"good": (1, 1)}, "good layers are not in order"),
    ({"good": (2, 4)}, "good and holds nothing"),
    ({"good": (True,)}, "no whole number"),
    ({"model": BaseModel.of(msgspec.structs.replace(TINY, layers=3))}, "layer 3 of a model that has 3"),
    ({"model": BaseModel.of(msgspec.structs.replace(TINY, width=16))}, "8 wide; the model is 16 wide"),
    ({"gate": PackGate(weight=Array(draw(9, 1)), bias=0, layer=1, threshold=0)}, "the gate is 9 wide"),
    ({"gate": PackGate(weight=Array(draw(8, 1)), bias=0, layer=9, threshold=0)}, "names layer 9"),
    ({"top_tokens": (TopTokens(layer=4, tokens=()),)}, "names layer 4"),
    ({"recommended": Setting(level=9.0)}, "more than its maximum"),
    ({"recommended": Setting(strength=2.0)}, "more than its maximum"),
    ({"level": float("nan")}, "level is nan"),
    ({"level": float("inf")}, "level is inf"),
    ({"recipe_hash": "xyz"}, "hexadecimal"),
    ({"warnings": "many"}, "no list"),
    ({"warnings": ("x",) * 51}, "50 is the most"),
    ({"model": "llama"}, "no BaseModel"),
]


@pytest.mark.parametrize(("changes", "complaint"), BAD)
def test_a_pack_that_cannot_be_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PackError, match=complaint):
        probe_pack(**changes)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Direction(unit=Array([3.0, 4.0]), length=1.0), "5 long instead of 1"),
        (lambda: Direction(unit=[float("nan")], length=1.0), "finite"),  # type: ignore[arg-type]
        (lambda: Direction(unit=Array([1.0]), length=-1.0), "lies between 0"),
        (lambda: Interval(score=0.5, low=0.6, high=0.7), "outside its interval"),
        (lambda: Site(kind="output", offset=2), "between -1 and 1"),
        (lambda: Provenance(author="x" * 201), "200 is the most"),
    ],
)
def test_a_part_that_cannot_be_is_refused(make: Any, complaint: str) -> None:
    with pytest.raises(PackError, match=complaint):
        make()


def test_sites_are_told_in_words() -> None:
    assert str(Site()) == "the output of block N"
    assert str(Site(kind="delta", offset=-1)) == "what is added by block N−1"
    assert str(Site(kind="input", offset=1)) == "the input of block N+1"


def test_a_pack_fits_the_model_it_was_made_for_without_a_word() -> None:
    assert check_fit(probe_pack(), TINY) == ()


def test_another_quantisation_of_the_model_is_used_with_a_warning() -> None:
    [warning] = check_fit(
        probe_pack(), msgspec.structs.replace(TINY, weights_hash="9" * 64, quantisation="Q8_0")
    )
    assert "F32" in warning and "Q8_0" in warning


def test_a_model_whose_weights_are_not_known_gives_no_warning() -> None:
    assert check_fit(probe_pack(), msgspec.structs.replace(TINY, weights_hash="")) == ()


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"vocabulary_hash": "a" * 64}, "vocabulary is another"),
        ({"architecture": "gemma"}, "architecture is another"),
        ({"layers": 5}, "5 layers instead of 4"),
    ],
)
def test_another_model_is_named_and_refused_and_may_be_taken_knowingly(
    changes: dict[str, Any], difference: str
) -> None:
    other = msgspec.structs.replace(TINY, name="Other model", **changes)
    with pytest.raises(PackError, match=difference) as caught:
        check_fit(probe_pack(), other)
    assert "Other model" in caught.value.what and "Tiny random model" in caught.value.what
    assert "--anyway" in caught.value.hint
    [warning] = check_fit(probe_pack(), other, anyway=True)
    assert "Other model" in warning


@pytest.mark.parametrize("changes", [{"width": 16}, {"layers": 3}])
def test_a_model_of_another_shape_is_refused_whatever_the_user_says(changes: dict[str, Any]) -> None:
    with pytest.raises(PackError, match="another shape"):
        check_fit(probe_pack(), msgspec.structs.replace(TINY, **changes), anyway=True)


def test_a_shift_that_overflows_is_refused() -> None:
    huge = Array(np.full(8, 3e38, dtype=np.float32))
    with pytest.raises(PackError, match="too large"):
        imported_pack(layers=(Layer(number=1, added=huge, offset=huge),), good=(1,))


def test_every_field_of_a_pack_is_checked() -> None:
    """Nothing that a file can say reaches a pack as it stands there."""
    for field in Pack.__struct_fields__:
        with pytest.raises(PackError):
            probe_pack(**{field: object()})
