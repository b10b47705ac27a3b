"""Counts of Spark itself, from its event log."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

SETTINGS = {
    "spark.eventLog.enabled": "true",
    "spark.eventLog.compress": "false",
    "spark.eventLog.rolling.enabled": "false",
}


def conf(folder: Path) -> dict[str, str]:
    """Settings of a session that writes its log to a folder; it is complete once the session has stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    return {**SETTINGS, "spark.eventLog.dir": f"file://{folder}"}


def totals(folder: Path) -> dict[str, int]:
    """Over all tasks: shuffle bytes and records written, bytes spilled, and the most that one task read of shuffles."""
    total: Counter[str] = Counter()
    largest: Counter[str] = Counter()
    for path in folder.iterdir():
        with path.open(encoding="utf-8") as f:
            for line in f:
                if '"SparkListenerTaskEnd"' not in line[:60]:
                    continue
                metrics = json.loads(line).get("Task Metrics") or {}
                written, read = metrics.get("Shuffle Write Metrics", {}), metrics.get("Shuffle Read Metrics", {})
                total["shuffle_bytes"] += written.get("Shuffle Bytes Written", 0)
                total["shuffle_records"] += written.get("Shuffle Records Written", 0)
                total["spilled_bytes"] += metrics.get("Disk Bytes Spilled", 0)
                size = read.get("Local Bytes Read", 0) + read.get("Remote Bytes Read", 0)
                largest |= Counter(
                    largest_task_records_read=read.get("Total Records Read", 0), largest_task_bytes_read=size
                )
    return {**total, **largest}
