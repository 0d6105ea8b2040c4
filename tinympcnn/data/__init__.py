"""Images and labels: reading, pairing, writing, borders, augmentation, synthetic stacks."""
