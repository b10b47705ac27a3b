"""Shared parts of model/: options, errors, hashes, files, tables, command lines. No torch here."""
