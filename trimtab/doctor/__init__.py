"""What is right and wrong with an installation: facts gathered, judged, and reported."""
