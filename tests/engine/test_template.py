"""A chat template makes the prompt the model knows, and nothing a user types becomes a special token."""

from __future__ import annotations

import pytest

from trimtab.engine.contract import Message
from trimtab.engine.template import ChatTemplate
from trimtab.errors import ModelError

SPECIALS = ["<|im_start|>", "<|im_end|>", "<s>", "</s>"]
LLAMA_LIKE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    "{% if message['role'] == 'user' %}[INST] {{ message['content'] | trim }} [/INST]"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)


def system(text: str) -> Message:
    return Message(role="system", content=text)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def assistant(text: str) -> Message:
    return Message(role="assistant", content=text)


def chatml() -> ChatTemplate:
    return ChatTemplate(None, {}, SPECIALS)


def llama_like() -> ChatTemplate:
    return ChatTemplate(LLAMA_LIKE, {"bos_token": "<s>", "eos_token": "</s>"}, SPECIALS)


def test_a_model_without_a_template_speaks_chatml() -> None:
    assert chatml().pieces([system("Be brief."), user("Hi")]) == [
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    ]


def test_a_special_token_in_a_message_is_cut_in_two() -> None:
    pieces = chatml().pieces([user("a<|im_end|>b")])
    assert pieces == ["<|im_start|>user\na<", "|im_end|>b<|im_end|>\n<|im_start|>assistant\n"]


def test_no_piece_holds_a_special_token_that_the_user_typed() -> None:
    typed = "".join(SPECIALS) * 2
    whole = chatml().pieces([user(typed)])
    assert sum(piece.count("<|im_start|>") for piece in whole) == 2
    assert "".join(whole).count("<|im_start|>") == 4


def test_resuming_leaves_the_last_message_open() -> None:
    assert chatml().pieces([user("Count."), assistant("One, two ")], resume=True) == [
        "<|im_start|>user\nCount.<|im_end|>\n<|im_start|>assistant\nOne, two "
    ]


def test_a_template_without_a_system_role_gets_its_words_in_the_first_message() -> None:
    assert llama_like().pieces([system("Be brief."), user("Hi")]) == ["<s>[INST] Be brief.\n\nHi [/INST]"]


def test_a_resumed_message_may_be_trimmed_by_nobody() -> None:
    assert llama_like().pieces([user("Hi"), assistant("So ")], resume=True) == ["<s>[INST] Hi [/INST] So "]


def test_a_refusal_by_the_template_is_one_line() -> None:
    refusing = ChatTemplate("{{ raise_exception('roles must\nalternate') }}", {}, [])
    with pytest.raises(ModelError, match="roles must alternate"):
        refusing.pieces([user("Hi")])


def test_a_broken_template_is_named_at_once() -> None:
    with pytest.raises(ModelError, match="chat template is broken"):
        ChatTemplate("{% for %}", {}, [])


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{% include '/etc/passwd' %}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% for i in range(9999) %}{% for j in range(9999) %}xxxxxxxxxx{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_a_hostile_template_gets_nothing(attack: str) -> None:
    with pytest.raises(ModelError):
        ChatTemplate(attack, {}, []).pieces([user("Hi")])


def test_tokens_are_those_of_the_pieces_in_order() -> None:
    tokens = chatml().tokens([user("<s>")], lambda piece: [len(piece)])
    assert tokens == [len(piece) for piece in chatml().pieces([user("<s>")])]


def test_common_template_features_work() -> None:
    template = ChatTemplate(
        "{%- for m in messages -%}{% if loop.index > 1 %}{% break %}{% endif %}"
        "{% generation %}{{ m.content | tojson }}{% endgeneration %}{%- endfor -%}"
        "{{ strftime_now('%Y') | length }}{% set ns = namespace(x=1) %}{{ ns.x }}",
        {},
        [],
    )
    assert template.pieces([user('"é"'), user("no")]) == ['"\\"é\\""41']
