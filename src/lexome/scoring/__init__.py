"""How likely a model finds a sequence or a change, by a named rule written beside the number."""
