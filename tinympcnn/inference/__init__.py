"""Use a trained net: committees, tiles, segmentation, calibration, and decisions about whole images."""
