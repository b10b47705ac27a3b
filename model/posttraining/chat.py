"""Conversations as tokens, by a chat template of ChatML's form.

    <|im_start|>user
    2 + 3?<|im_end|>
    <|im_start|>assistant
    5<|im_end|>

Learned are an answer's content and its end mark. `TEMPLATE` says the same to `apply_chat_template`, `transformers serve` and trl,
answers marked by `{% generation %}`. Training does not render and tokenize it as one text, because a mark that stands literally
in a message would become a real one, and begin a turn of its own; here it is ordinary text, as in the shards. For other messages
both are equal (tested), unless an answer begins with white space: it is encoded apart from its header, as when it is sampled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from model.base.errors import ChatError
from model.posttraining.conversations import Message

BEGIN, END = "<|im_start|>", "<|im_end|>"

TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] not in ['system', 'user', 'assistant'] -%}
{{ raise_exception('found role ' + message['role'] + ', expected system, user or assistant') }}
{%- endif -%}
{{ '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['role'] == 'assistant' -%}
{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}
{%- else -%}
{{ message['content'] + '<|im_end|>' }}
{%- endif -%}
{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}
"""


@dataclass(frozen=True)
class Encoded:
    """Conversation as ids.

    :ivar answer: for each id, whether it is learned.
    """

    ids: list[int]
    answer: list[bool]

    @property
    def answers(self) -> int:
        """Number of ids that are learned."""
        return sum(self.answer)

    def cut(self, length: int) -> Encoded:
        """Cut to the first `length` ids."""
        return Encoded(self.ids[:length], self.answer[:length])


class Chat:
    """Tokenizer of a model's folder, for conversations.

    :ivar begin: id of the mark that begins a message; `end` of the one that ends it; `eod` of the end of a document.
    """

    def __init__(self, folder: str | Path) -> None:
        """Read the tokenizer.

        :raises ChatError: no tokenizer, marks that it does not have as tokens, or another chat template.
        """
        self.folder = Path(folder)
        file, config = self.folder / "tokenizer.json", self.folder / "tokenizer_config.json"
        for path in (file, config):
            if not path.exists():
                raise ChatError(
                    f"{path}: no such file; expected a folder that model.train, model.sft or model.dpo exported"
                )
        self.config: dict[str, Any] = json.loads(config.read_text(encoding="utf-8"))
        template = self.folder / "chat_template.jinja"
        if template.exists() and template.read_text(encoding="utf-8") != TEMPLATE:
            raise ChatError(f"{template}: found another chat template than this project's, expected none or the same")
        self.special = tokenizers.Tokenizer.from_file(str(file))
        self.tokenizer = tokenizers.Tokenizer.from_file(str(file))
        self.tokenizer.encode_special_tokens = True
        for mark in (BEGIN, END):
            ids = self.special.encode(mark, add_special_tokens=False).ids
            if len(ids) != 1 or self.special.id_to_token(ids[0]) != mark:
                raise ChatError(f"{file}: found no token {mark}, expected it among the added tokens")
            if self._encode(mark) == ids:
                raise ChatError(f"{file}: {mark} is not marked special, so a text could contain it")
        self.begin, self.end = self._id(BEGIN), self._id(END)
        self.eod = self._id(self.config.get("pad_token") or self.config["eos_token"])
        self.vocabulary = self.special.get_vocab_size()

    def _id(self, token: str) -> int:
        """Find the id of a mark."""
        number = self.special.token_to_id(token)
        if number is None:
            raise ChatError(f"{self.folder}/tokenizer.json: found no token {token}")
        return number

    def _encode(self, text: str) -> list[int]:
        """Encode a text, in which marks are ordinary text."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode(self, messages: Sequence[Message]) -> Encoded:
        """Encode a whole conversation, a line break after each end mark."""
        ids: list[int] = []
        answer: list[bool] = []
        newline = self._encode("\n")
        for message in messages:
            if message.role == "assistant":
                head, content = self._encode("assistant\n"), [*self._encode(message.content), self.end]
            else:
                head, content = [], [*self._encode(f"{message.role}\n{message.content}"), self.end]
            ids += [self.begin, *head, *content, *newline]
            learned = message.role == "assistant"
            answer += [False] * (1 + len(head)) + [learned] * len(content) + [False] * len(newline)
        return Encoded(ids, answer)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Encode messages, after which the assistant's answer comes."""
        return [*self.encode(messages).ids, self.begin, *self._encode("assistant\n")]

    def answer(self, content: str) -> list[int]:
        """Encode what follows `prompt`: the content and its end mark."""
        return [*self._encode(content), self.end]

    def text(self, ids: Sequence[int]) -> str:
        """Decode what was sampled, up to a mark or the end of a document."""
        stop = next((i for i, x in enumerate(ids) if x in (self.end, self.begin, self.eod)), len(ids))
        text: str = self.special.decode(list(ids[:stop]), skip_special_tokens=False)
        return text

    def ended(self, ids: Sequence[int]) -> bool:
        """Tell whether what was sampled ended by itself: not cut off, and with no message begun inside it."""
        return next((x for x in ids if x in (self.end, self.begin, self.eod)), self.begin) != self.begin

    def write(self, folder: Path) -> None:
        """Write the tokenizer with the template into a model's folder; the end of a message is the end of a text."""
        (folder / "tokenizer.json").write_bytes((self.folder / "tokenizer.json").read_bytes())
        pad = self.special.id_to_token(self.eod)
        config = self.config | {"eos_token": END, "pad_token": pad}
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
