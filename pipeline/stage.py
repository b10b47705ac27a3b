"""The four stages of the chain, in order, and the facts that differ between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StageName = Literal["preparation", "rule_based", "model_based", "tokenization"]


@dataclass(frozen=True)
class Stage:
    """A stage of the chain.

    :param name: the one word for it, from folder to output path.
    :param before: the stage whose outputs it reads; None: it reads crawl files.
    :param writes_shards: whether it ends in token shards, which then hold the text in place of its rows.
    """

    name: str
    before: str | None
    writes_shards: bool = False

    @property
    def reads_crawl(self) -> bool:
        """Whether the stage reads crawl files rather than the rows of another stage."""
        return self.before is None


STAGES = {
    s.name: s
    for s in (
        Stage("preparation", None),
        Stage("rule_based", "preparation"),
        Stage("model_based", "rule_based"),
        Stage("tokenization", "model_based", writes_shards=True),
    )
}
"""The stages by name, in the order in which they run."""
