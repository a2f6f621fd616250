"""The serving benchmark: this server and its peers on the same graph, posts and cores, each beside the bare model."""
