"""What makes and measures things around Trimtab; no part of what is installed."""
