"""tinympcnn: max-pooling convolutional networks on whole images."""
