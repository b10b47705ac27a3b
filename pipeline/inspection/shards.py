"""Look at token shards: check them, count tokens by language, decode some documents.

python -m pipeline.inspection.shards OUT [--decode 3] [--split train]
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence

from pipeline.strict import UserError
from pipeline.tokenization import shards
from pipeline.tokenization.shard_files import SPLITS, Split


def report(folder: str, decode: int = 0, split: Split = "train", characters: int = 400) -> str:
    """The checked shards as text, with the first `decode` rows of `split`, each cut to `characters` characters.

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
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; exit code 2 with one line if the shards are not as they should be."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.inspection.shards", description="check token shards")
    parser.add_argument("folder", help="folder with manifest.json")
    parser.add_argument("--decode", type=int, default=0, metavar="N", help="print the text of the first N rows")
    parser.add_argument("--split", choices=SPLITS, default="train", help="split to decode from")
    args = parser.parse_args(arguments)
    try:
        print(report(args.folder, args.decode, args.split))
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
