"""What runs a model: the steering program, the engine contract, the worker process, and the engines."""
