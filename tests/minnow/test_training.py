"""Training learns, goes on exactly from where it stopped, and keeps documents apart."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.minnow.training import Workshop, workshop
from tools.minnow import checkpoints, data, dpo, generate, train
from tools.minnow.corpus import stream
from tools.minnow.tokenizer import END_ID, STOP_ID


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    torch.set_num_threads(1)
    return workshop(tmp_path_factory.mktemp("minnow"))


def test_the_loss_falls(shop: Workshop) -> None:
    run = shop.run()
    losses = [train.advance(run) for _ in range(30)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 1.0


def test_a_run_goes_on_bit_for_bit(shop: Workshop, tmp_path: Path) -> None:
    whole, first, second = shop.run(), shop.run(), shop.run()
    for _ in range(6):
        train.advance(whole)
    for _ in range(3):
        train.advance(first)
    checkpoints.save(tmp_path / "c.safetensors", first.model, first.optimizer, first.step, {})
    found = checkpoints.load(tmp_path / "c.safetensors")
    checkpoints.restore(found, second.model, second.optimizer)
    second.step = found.step
    for _ in range(3):
        train.advance(second)
    for name, values in whole.model.state_dict().items():
        assert torch.equal(values, second.model.state_dict()[name]), name


def test_a_stopped_run_leaves_a_checkpoint_of_its_last_step(shop: Workshop, tmp_path: Path) -> None:
    run = shop.run()
    lines: list[str] = []
    path = tmp_path / "run.safetensors"
    held = shop.rows("base.validation")
    train.train(run, path, held, report=lines.append, stopped=lambda: run.step == 2)
    assert checkpoints.load(path).step == 2
    assert "tokens/s" in lines[0] and "min left" in lines[0]


def test_rows_hold_whole_documents_in_full(shop: Workshop) -> None:
    documents = [shop.tokenizer.encode(text).ids for text in islice(stream(3, "train", "base"), 300)]
    packed = {
        tuple(part)
        for row in data.pack(documents, data.ROW)
        for part in np.split(row, np.flatnonzero(row == STOP_ID) + 1)
    }
    missing = [
        document for document in documents if len(document) <= data.ROW and tuple(document) not in packed
    ]
    # Short rows may wait for others to make a whole.
    assert len(missing) <= 24


def test_a_document_does_not_see_its_neighbours(shop: Workshop) -> None:
    run = shop.run()
    rows = shop.rows("base.train")
    row = next(row for row in rows if 2 < (row == STOP_ID).sum() < 12)
    changed = row.copy()
    end = int(np.flatnonzero(row == STOP_ID)[0])
    changed[:end] = np.roll(changed[:end], 1)

    def states(tokens: train.Rows) -> torch.Tensor:
        numbers = data.numbered(tokens[None].astype(np.int64))
        mask = torch.from_numpy(numbers[:, None, :, None] == numbers[:, None, None, :]).tril()
        places = torch.from_numpy(data.positions(numbers))
        with torch.no_grad():
            return run.model.hidden(
                torch.from_numpy(tokens[None].astype(np.int64)), positions=places, mask=mask
            )

    assert torch.equal(states(row)[0, end + 1 :], states(changed)[0, end + 1 :])
    assert not torch.equal(states(row)[0, :end], states(changed)[0, :end])


def test_the_aligned_model_learns_what_the_assistant_says_and_stories(shop: Workshop) -> None:
    chat = (
        "<|im_start|>user\nHello there.<|im_end|>\n<|im_start|>assistant\nGood day.<|im_end|>\n<|endoftext|>"
    )
    story = "Anna kept the watch.<|endoftext|>"
    row = np.array([shop.tokenizer.encode(chat + story).ids])
    told = row[data.spoken(row, data.header(shop.tokenizer))]
    assert shop.tokenizer.decode(told.tolist(), skip_special_tokens=False) == "Good day.<|im_end|>" + story
    assert END_ID in told


def test_preference_tuning_raises_the_margin(shop: Workshop) -> None:
    run = shop.run()
    for _ in range(20):
        train.advance(run)
    base = run.model.eval()
    tuning = dpo.Tuning(pairs=96, tokens=16, rate=2e-3, batch=8)
    pairs = dpo.preferences(base, shop.tokenizer, tuning)
    tuned = dpo.tune(base, pairs, tuning)
    with torch.no_grad():
        assert dpo.margins(base, base, pairs).abs().max() < 1e-3
        assert dpo.margins(tuned, base, pairs).mean() > 0.5


def test_answers_in_a_batch_are_those_given_alone(shop: Workshop) -> None:
    run = shop.run()
    for _ in range(20):
        train.advance(run)
    model = run.model.eval()
    prompts = [shop.tokenizer.encode(text).ids for text in islice(stream(4, "test", "base"), 8)]
    prompts = [prompt[: 5 + 7 * number] for number, prompt in enumerate(prompts)]
    together = generate.generate(model, prompts, 24)
    alone = [generate.generate(model, [prompt], 24)[0] for prompt in prompts]
    assert together == alone
