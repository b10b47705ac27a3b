"""Look at token shards: check them, count tokens by language, decode some documents."""

from __future__ import annotations

import itertools

from pipeline.tokenization import shards
from pipeline.tokenization.shard_files import Split


def report_lines(folder: str, decode: int = 0, split: Split = "train", characters: int = 400) -> list[str]:
    """Check shards and describe them, with the first `decode` rows of `split`, each cut to `characters` characters.

    :raises UserError: if the shards are not as the manifest says.
    """
    manifest = shards.verify(folder)
    lines = [f"{folder}: verified; tokenizer {manifest.tokenizer['name']} {manifest.tokenizer['sha256'][:12]}"]
    for name, total in manifest.totals().items():
        languages = ", ".join(f"{k} {v:,}" for k, v in total["language_tokens"].items()) or "none"
        per_token = total["bytes"] / total["tokens"] if total["tokens"] else 0.0
        lines.append(
            f"{name}: {total['shards']} shards, {total['rows']:,} rows, {total['tokens']:,} tokens ({languages}), "
            f"{total['bytes']:,} bytes, {per_token:.2f} a token"
        )
        lines += [f"  {s.path}: {s.rows:,} rows, {s.tokens:,} tokens" for s in manifest.of(name)]  # type: ignore[arg-type]
    if decode:
        tokenizer = shards.shard_tokenizer(folder, manifest)
        rows = (row for table in shards.read_shards(folder, split) for row in table.to_pylist())
        for row in itertools.islice(rows, decode):
            text = tokenizer.decode(row["input_ids"])
            shown = text if len(text) <= characters else f"{text[:characters]} ... ({len(text):,} characters)"
            lines += [
                "",
                f"--- {row['doc_id']} copy {row['copy']}, part {row['part'] + 1} of {row['n_parts']}, "
                f"{row['n_tokens']:,} tokens, {row['language'] or '?'}, {row['url'] or '?'}",
                shown,
            ]
    return lines
