"""Files: reading images, pairing them with labels, and writing results whole or not at all."""
