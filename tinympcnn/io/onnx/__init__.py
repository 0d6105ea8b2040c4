"""Trained nets as ONNX files, which run in onnxruntime, OpenVINO and DeepImageJ without this library.

``layers.py`` says why a net of fragments is a graph of dilated convolutions, ``model.py`` puts the whole way from raw
pixels to probabilities into one graph, and ``bioimageio.py`` writes the folder that image analysis programs read.
"""
