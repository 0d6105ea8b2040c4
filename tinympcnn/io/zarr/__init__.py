"""OME-Zarr, a folder of chunks that many processes read and write at once (OME-NGFF 0.4 and 0.5)."""
