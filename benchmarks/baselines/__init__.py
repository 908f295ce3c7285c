"""What a model must beat: plain, honest methods, each told whatever helps it."""
