"""Images with labels, drawn by a random generator: the demo, the tests and the course train on them."""
