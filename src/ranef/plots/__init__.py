"""Pictures of fitted models and of what is inferred from them; they need matplotlib."""
