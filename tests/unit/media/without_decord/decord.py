raise ImportError("decord is not here")
