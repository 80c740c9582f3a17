"""Values as things to share: recipes, the packs made of them, and where both are kept."""
