"""Pictures of maps: tensors in, images out."""
