"""What each layer of a model knows: features, folds, heads and the atlas of them."""
