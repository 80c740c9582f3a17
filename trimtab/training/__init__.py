"""Training on preferences: RAHF with its adapters, and the recipes it is compared with."""
