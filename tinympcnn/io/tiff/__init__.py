"""TIFF files: which axes they have, one page or some rows at a time, and writing page by page."""
