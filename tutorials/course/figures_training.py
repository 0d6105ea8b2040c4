"""Figures of tutorials 11 to 16."""

__all__: list[str] = []
