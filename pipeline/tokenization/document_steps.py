"""The steps of the tokenization stage: text to tokens, then copies by the mixture and shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import PrivateAttr

from pipeline.schema import DOCUMENT, Document, Drop
from pipeline.steps import Cost, CrossDocumentStep, DocumentStep, content_sha256
from pipeline.tokenization.mixture import Mixture
from pipeline.tokenization.plan import Cell, CellPlan, cells_of, copies, copy_hash
from pipeline.tokenization.shard_rows import ShardOptions, is_validation
from pipeline.tokenization.tokenizer import Tokenizer, TokenizerOptions


class Tokenize(DocumentStep):
    """Encode the text; the end-of-document token is the last. Drops documents without text (`no_text`)."""

    step: Literal["tokenize"] = "tokenize"
    tokenizer: TokenizerOptions = TokenizerOptions()

    _loaded: Tokenizer | None = PrivateAttr(None)

    def fingerprint(self) -> dict[str, Any]:
        return {**super().fingerprint(), "tokenizer_sha256": self.get().sha256}

    def load(self) -> None:
        self._loaded = self.tokenizer.load()

    def get(self) -> Tokenizer:
        """The tokenizer, loaded once."""
        if self._loaded is None:
            self.load()
        assert self._loaded is not None
        return self._loaded

    def process(self, docs: list[Document]) -> list[Document | Drop]:
        ids = self.get().encode_batch([d.text or "" for d in docs])
        return [
            d.evolve(input_ids=i, n_tokens=len(i)) if d.text else Drop("no_text")
            for d, i in zip(docs, ids, strict=True)
        ]


class Shards(ShardOptions, CrossDocumentStep):
    """Decide how often each document is written, by one plan over the counted tokens of a generation, and write shards.

    A document of no copies is the drop `downsampled`. Validation documents, chosen by domain, take no part in the mixture and
    are written once.
    """

    version: ClassVar[int] = 2

    step: Literal["shards"] = "shards"
    mixture: Mixture = Mixture()

    def cost(self, documents: int, characters: int) -> Cost:
        # Every token crosses the shuffle as four bytes, and once more for each further copy (not counted). A token is 4.6
        # characters of English or 1.3 of Chinese; half of each is taken. Written 32 million a second, 1.6 bytes each
        # (benchmarks/tokenization.py).
        tokens = characters / 2.9
        return Cost(documents * 20e-6 + tokens / 32e6, int(documents * 100 + 4 * tokens), int(1.6 * tokens))

    def fingerprint(self) -> dict[str, Any]:
        groups = self.mixture.taxonomy()
        return super().fingerprint() | ({"groups": content_sha256(groups)} if groups else {})

    @property
    def columns(self) -> list[str]:
        """The document columns that `copies` reads."""
        return list(dict.fromkeys(["doc_id", "domain", "generation", *self.mixture.columns]))

    def copies(
        self, rows: pa.Table, record: Mapping[str, Any]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_], list[float]]:
        """Copies of documents, which of them are for validation, and their cells' rates; each of length n.

        :param rows: n documents with `columns`.
        :param record: what the Spark part left: `{"plans": {generation: Plan.as_dict()}}`.
        """
        plans: dict[str, dict[Cell, CellPlan]] = {
            g: {tuple(c["cell"]): CellPlan(**{**c, "cell": tuple(c["cell"])}) for c in plan["cells"]}
            for g, plan in record["plans"].items()
        }
        doc_ids, generations = rows["doc_id"].to_pylist(), rows["generation"].to_pylist()
        validation = is_validation(self.seed, rows["domain"].to_pylist(), doc_ids, self.validation_share)
        hashes = copy_hash(doc_ids, self.seed)
        out = np.ones(len(hashes), dtype=np.int32)
        rates = [1.0] * len(hashes)
        cells = cells_of(self.mixture.table(rows))
        for i in np.flatnonzero(~validation).tolist():
            plan = plans[str(generations[i])][cells[i]]
            out[i] = copies(hashes[i : i + 1], plan.base, plan.threshold)[0]
            rates[i] = plan.rate
        return out, validation, rates

    def decide(self, docs: list[Document], record: dict[str, Any]) -> list[Document | Drop]:
        rows = pa.table({n: pa.array([getattr(d, n) for d in docs], DOCUMENT.field(n).type) for n in self.columns})
        n_copies, _, rates = self.copies(rows, record)
        return [
            doc.evolve(copies=int(n)) if n else Drop("downsampled", value=rate)
            for doc, n, rate in zip(docs, n_copies, rates, strict=True)
        ]
