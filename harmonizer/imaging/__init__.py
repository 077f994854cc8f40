"""Turn what users hand over into arrays, and back: files, tensors, Pillow's modes, masks."""
