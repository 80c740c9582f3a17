"""The PyTorch engine: transformers models in safetensors, on CUDA where there is a card, else on the CPU."""
