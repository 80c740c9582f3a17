"""The part of training that needs PyTorch; imported when a run begins."""
