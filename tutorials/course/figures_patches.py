"""Figures of tutorials 04 to 07."""

__all__: list[str] = []
