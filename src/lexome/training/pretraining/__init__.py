"""From sequences alone to a language model: corpus, recipe, plan, training."""
