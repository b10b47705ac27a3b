"""Errors that a command answers in one line: what was found, what was expected.

ModelError
├── ConfigError           a file of options, or a value in it
├── ShardError            a folder of shards that is not what SHARDS.md specifies
├── StreamError           options that do not fit the shards, or a state that does not fit the options
├── PackingError          documents that cannot be packed as asked
├── TrainError            a run that cannot begin or go on
│   └── InUseError        another process trains into its folder
├── ExportError           a model that cannot be written
├── ServeError            a model that cannot be served
├── ChatError             a tokenizer that cannot be used for chat
├── ConversationError     a file of conversations, prompts or preferences
├── FineTuneError         a fine-tuning run that cannot begin or go on
├── SandboxError          isolation that this machine does not give
└── AnalysisError         a model or run that cannot be analysed
"""

from __future__ import annotations


class ModelError(ValueError):
    """Something that cannot be used. A `ValueError`, so that pydantic reports one that a validator raises."""


class ConfigError(ModelError):
    """A file of options, or a value in it, that cannot be used."""


class ShardError(ModelError):
    """A folder of shards that is not what SHARDS.md specifies, or not the one expected."""


class StreamError(ModelError):
    """Options that do not fit the shards, or a state that does not fit the options."""


class PackingError(ModelError):
    """Documents that cannot be packed as asked."""


class TrainError(ModelError):
    """A run that cannot begin or go on."""


class InUseError(TrainError):
    """A run's folder that another process trains into."""


class ExportError(ModelError):
    """A model that cannot be written."""


class ServeError(ModelError):
    """A model that cannot be served."""


class ChatError(ModelError):
    """A tokenizer that cannot be used for chat."""


class ConversationError(ModelError):
    """A file of conversations, prompts or preferences that cannot be used; the message names file and line."""


class FineTuneError(ModelError):
    """A fine-tuning run that cannot begin or go on."""


class SandboxError(ModelError):
    """A sandbox without the isolation that its options require."""


class AnalysisError(ModelError):
    """A model or run that cannot be analysed."""
