"""Before any work: pairs and images are checked, split into chunks, held to metrics' needs."""
