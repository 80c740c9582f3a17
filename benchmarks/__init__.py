"""How fast Trimtab is, as ratios measured side by side."""
