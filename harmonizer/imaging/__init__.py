"""What users hand over, to arrays and back: files, Pillow's modes, tensors, masks, metadata."""
