"""Measures the grammar: the corpus it writes, how fast, and how often its judges are right.

    python -m tools.minnow.figures [--documents 2000]

Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from itertools import islice
from typing import get_args

from trimtab.minnow import films, lexicon, splits
from trimtab.minnow.corpus import documents
from trimtab.minnow.documents import Document, Register
from trimtab.minnow.grammar import sentences, words
from trimtab.minnow.judges import trials
from trimtab.minnow.reading import read


def corpus_figures(register: Register, count: int) -> dict[str, object]:
    """Sizes, shares and speeds for one register's training text."""
    began = time.perf_counter()
    every = list(islice(documents("figures", "train", register), count))
    seconds = time.perf_counter() - began
    texts = [document.text() for document in every]
    parts = [
        part
        for document in every
        for turn in document.turns
        if _inside(turn.truth.act)
        for part in sentences(turn.text)
    ]
    began = time.perf_counter()
    for part in parts:
        read(part)
    reading = time.perf_counter() - began
    size = sum(map(len, texts))
    kinds = Counter(document.kind for document in every)
    characters: Counter[str] = Counter()
    for document, text in zip(every, texts, strict=True):
        characters[document.kind] += len(text)
    prompted = [document for document in every if _prompted(document)]
    return {
        "documents": count,
        "megabytes a minute": round(size / seconds * 60 / 1e6),
        "sentences read a second": round(len(parts) / reading),
        "words a document": round(sum(len(words(text)) for text in texts) / count),
        "characters a document": round(size / count),
        "word types": len({word.lower() for part in parts for word in words(part)}),
        "different sentences": round(len(set(parts)) / len(parts), 3),
        "documents by kind": {kind: round(number / count, 3) for kind, number in kinds.most_common()},
        "text by kind": {kind: round(number / size, 3) for kind, number in characters.most_common()},
        "contradicted among prompts": round(
            sum(each.contradicted for each in prompted) / max(1, len(prompted)), 3
        ),
    }


def film_figures(count: int) -> dict[str, float]:
    """What shows the sentiment of reviews."""
    import random

    rng = random.Random("figures")
    shared = anchors = cues = words_in = agree = good = stays = steps = 0
    for _ in range(count):
        review = films.review(rng)
        found = films.cues(review.text)
        cues += sum(map(len, found))
        anchors += sum(cue.anchor for line in found for cue in line)
        shared += sum(cue.text.count(" ") == 0 for line in found for cue in line)
        words_in += len(words(review.text))
        good += review.good
        agree += (films.log_odds(review.text, mask_anchors=True) > 0) == review.good
        stays += sum(a == b for a, b in zip(review.states, review.states[1:], strict=False))
        steps += len(review.states) - 1
    return {
        "words a review": round(words_in / count, 1),
        "share of praise": round(good / count, 3),
        "persistence": round(stays / steps, 3),
        "cues in shared frames": round(shared / cues, 3),
        "anchors among cues": round(anchors / cues, 3),
        "sentiment without anchors right": round(agree / count, 3),
    }


def content_figures() -> dict[str, object]:
    values = lexicon.values().values()
    return {
        "scenes": len(lexicon.SCENES),
        "names": len(lexicon.names()),
        "actions a value": min(
            sum(each.value == value.id for each in lexicon.actions().values()) for value in values
        ),
        "reasons a value": min(len(value.reasons) + len(value.drives) for value in values),
        "manifest": splits.prove(splits.manifest()),
    }


def _inside(act: str) -> bool:
    return act != "outside"


def _prompted(document: Document) -> bool:
    first = document.turns[0]
    return first.role == "system" and first.truth.act == "cue" and not first.truth.against


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--documents", type=int, default=2000)
    count = parser.parse_args().documents
    known, spoilt = trials.known("test", count), trials.spoilt("test", count)
    figures = {
        "content": content_figures(),
        **{register: corpus_figures(register, count) for register in get_args(Register)},
        "reviews": film_figures(count // 2),
        "judges right": known.accuracy(),
        "judged": dict(sorted(known.tried.items())),
        "spoilt texts caught": spoilt.accuracy(),
        "spoilt": dict(sorted(spoilt.tried.items())),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
