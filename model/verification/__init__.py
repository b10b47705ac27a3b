"""Verifiers of answers: arithmetic by value, code by tests in a sandbox. No torch here."""
