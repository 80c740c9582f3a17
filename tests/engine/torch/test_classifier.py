"""A sequence classifier decides what is steered, whichever engine runs the model, and the receipt tells its score."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import transformers

from tests.engine.machines import ENGINES, load_machine
from tests.engine.worker.workers import environment
from tests.tiny import TinyModel
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import Done, GenerateRequest, LoadRequest, Sampling
from trimtab.engine.generation import MachineEngine
from trimtab.engine.program import Array, Classifier, Gate, Program, Shift
from trimtab.engine.torch.classifier import chosen, load
from trimtab.errors import ModelError, ProgramError, Unsupported

LABELS = ("Security: personal", "Security: societal", "Power: resources")
TEXT = "The sea was calm and the sailors"


@pytest.fixture(scope="session")
def classifier(tiny_llama: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random one with several labels at once, which reads the tiny model's tokens."""
    folder = tmp_path_factory.mktemp("detector")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_llama.safetensors / name, folder)
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=512, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, problem_type="multi_label_classification",
        id2label=dict(enumerate(LABELS)), label2id={label: at for at, label in enumerate(LABELS)},
    )  # fmt: skip
    model = transformers.BertForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([-0.5, 0.75, -3.0]))
    model.save_pretrained(folder)
    return folder


def test_the_probability_of_a_value_is_that_of_its_likeliest_label(classifier: Path) -> None:
    found = load(classifier)
    each = [found.probability(label, TEXT) for label in LABELS]
    assert len(set(each)) == 3 and all(0 < p < 1 for p in each)
    assert found.probability("security", TEXT) == max(each[:2])
    with pytest.raises(Unsupported, match=r"no label for 'kindness'.*Security: personal"):
        found.probability("kindness", TEXT)


def test_a_long_message_is_read_from_its_end(classifier: Path) -> None:
    found = load(classifier)
    ends = [found.probability("power", "calm " * 500 + end) for end in ("good year", "steady ship")]
    assert ends[0] != ends[1]
    assert found.probability("power", "ship " * 50 + "calm " * 500) == found.probability(
        "power", "calm " * 500
    )


@pytest.mark.parametrize(
    ("labels", "wanted", "found"),
    [
        (LABELS, "security", [0, 1]), (LABELS, "Power: resources", [2]), (LABELS, "secur", []),
        (("no", "yes"), "security", [1]), (("LABEL_0",), "", [0]), (("a", "b", "c"), "", []),
    ],
)  # fmt: skip
def test_labels_are_meant_by_their_name_or_its_beginning(
    labels: tuple[str, ...], wanted: str, found: list[int]
) -> None:
    assert chosen(labels, wanted) == found


def program(folder: Path, threshold: float, width: int) -> Program:
    gate = Gate(classifier=Classifier.load(folder, "security"), threshold=threshold)
    return Program(interventions=(Shift(layer=1, vector=Array([1.0] * width), gate=gate, label="security"),))


@pytest.mark.parametrize("kind", ENGINES)
def test_it_opens_and_closes_the_gate_on_either_engine(
    kind: str, tiny_llama: TinyModel, classifier: Path
) -> None:
    expected = load(classifier).probability("security", TEXT)
    engine = MachineEngine(load_machine(kind, tiny_llama))
    try:
        for threshold in (expected - 0.01, expected + 0.01):
            request = GenerateRequest(
                text=TEXT,
                program=program(classifier, threshold, engine.info.width),
                sampling=Sampling(temperature=0, max_tokens=3),
            )
            done = list(engine.generate(request))[-1]
            assert isinstance(done, Done)
            (gate,) = done.receipt.gates
            assert (gate.label, gate.open) == ("security", threshold < expected)
            assert gate.score == pytest.approx(expected, abs=1e-6)
            assert bool(done.receipt.steered_tokens) == gate.open
    finally:
        engine.close()


async def test_a_worker_gets_the_files_that_it_lacks(
    tiny_llama: TinyModel, classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(tmp_path / "logs").items():
        monkeypatch.setenv(name, value)
    async with EngineClient.start() as client:
        info = await client.load(LoadRequest(path=str(tiny_llama.gguf), threads=1, context=128))
        asked = GenerateRequest(
            text=TEXT, program=program(classifier, 0.0, info.width), sampling=Sampling(max_tokens=1)
        )
        events = [event async for event in client.generate(asked)]
    done = events[-1]
    assert isinstance(done, Done)
    assert done.receipt.fingerprint == asked.program.fingerprint
    assert done.receipt.gates[0].score == pytest.approx(
        load(classifier).probability("security", TEXT), abs=1e-6
    )


def test_where_it_lies_is_no_part_of_the_program(classifier: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(classifier, tmp_path / "copy")
    assert program(copy, 0.5, 8).fingerprint == program(classifier, 0.5, 8).fingerprint
    assert program(copy, 0.6, 8).fingerprint != program(classifier, 0.5, 8).fingerprint


def test_what_is_no_classifier_is_refused(tiny_llama: TinyModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be loaded|holds no trained classifier"):
        load(tiny_llama.safetensors)
    with pytest.raises(ProgramError, match="There is no folder"):
        Classifier.load(tmp_path / "missing")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ProgramError, match="Pickles are refused"):
        Classifier.load(tmp_path)
    with pytest.raises(ProgramError, match="either a probe or a classifier"):
        Gate()
