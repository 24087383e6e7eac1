"""Kyverno, the rule library and its dashboard."""
