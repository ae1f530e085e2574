"""Published weights to models, strictly: every tensor and every parameter is accounted for."""
