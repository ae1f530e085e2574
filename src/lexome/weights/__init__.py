"""The small trained models that come with the package, each with its card."""
